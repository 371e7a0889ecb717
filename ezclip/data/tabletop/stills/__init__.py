"""Captioned stills for pretraining."""
