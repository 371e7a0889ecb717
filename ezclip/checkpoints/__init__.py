"""Model folders: writing, reading, checking, finding, and converting the official release's files."""
