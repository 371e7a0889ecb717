"""Other methods that make a video model of CLIP, each in one file and built of the same blocks as EZ-CLIP."""
