"""Quality of an encode: measured against what it was made of, and aimed at with encodes of samples."""
