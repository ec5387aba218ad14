"""Was it delivered? Facts of the output against what was planned."""
