"""From a path to the T frames that a model sees, and from frames to an mp4."""
