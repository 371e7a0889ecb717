"""RESULTS.md: its sections, from the results of the stages."""
