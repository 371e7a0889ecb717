"""Figures like those of the paper, with captions for LaTeX."""
