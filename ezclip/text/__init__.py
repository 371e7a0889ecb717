"""Class names to sentences to token ids."""
