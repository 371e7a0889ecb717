"""Studies of an index written by ``ezclip index``."""
