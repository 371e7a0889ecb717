"""Decodes videos into the T input frames of a model, and encodes frames as mp4."""
