"""EZ-CLIP: frozen CLIP, adapters in both towers, temporal visual prompts between the frames."""
