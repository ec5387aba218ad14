"""Inputs and outputs in object stores: S3 and its kin, Google Cloud Storage, Azure, a folder, or memory.

``opening.open_store`` is where to begin. Needs the extra ``reelpress[service]``; nothing outside this package imports
obstore, and nothing in it knows what a video is.
"""
