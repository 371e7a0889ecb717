"""Measures of models on labelled clips."""
