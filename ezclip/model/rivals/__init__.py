"""Other methods, one per file: video models on top of CLIP, built from EZ-CLIP's blocks, and VideoPrism."""
