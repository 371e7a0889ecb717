"""The stage: a player of a clip in four frame orders (forward, reversed, shuffled, static) under two models."""
