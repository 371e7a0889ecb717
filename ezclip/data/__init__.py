"""Lists and folders of videos as data sets, and the Tabletop Motion benchmark."""
