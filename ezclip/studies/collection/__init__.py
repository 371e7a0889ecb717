"""Studies of an index that ``ezclip index`` made."""
