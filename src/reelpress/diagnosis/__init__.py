"""Turns what was found on a machine into what a person should read: what works, what does not, what to change."""
