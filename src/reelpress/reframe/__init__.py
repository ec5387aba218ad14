"""Where a vertical window goes in a wider picture: shots, faces, movement, and a calm path."""
