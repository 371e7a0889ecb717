"""Tabletop Motion: procedural videos whose classes differ only in motion."""
