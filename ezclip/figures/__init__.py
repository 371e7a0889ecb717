"""Figures as functions of values, without pyplot and torch."""
