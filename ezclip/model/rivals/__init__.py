"""Other methods, each in one file: those that make a video model of CLIP, of EZ-CLIP's blocks, and VideoPrism."""
