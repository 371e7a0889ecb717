"""Figures as functions of values: no pyplot, no torch."""
