"""Captions: read from files and transcripts, edited, cut to a clip, written, and made into what is burned in.

Pure, but for reading the files that captions and fonts are in.
"""
