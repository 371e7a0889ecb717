"""Where a model looks: attention traces and attribution methods."""
