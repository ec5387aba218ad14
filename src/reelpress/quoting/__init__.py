"""Quotes: what a job would come to, found out before it is done, from the facts of a file and stretches of it."""
