"""Collections: an index of many videos on disk, and exact search in it."""
