"""Data sets from lists and folders of videos, and the Tabletop Motion benchmark."""
