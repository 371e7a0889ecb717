"""Where a model looks: traces of its forward pass and what they add up to."""
