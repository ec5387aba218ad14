"""Frozen values that say what a file and a machine are; no I/O, and unknown is ``None``, never 0."""
