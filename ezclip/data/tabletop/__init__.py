"""Tabletop Motion: procedural videos whose classes differ by motion alone."""
