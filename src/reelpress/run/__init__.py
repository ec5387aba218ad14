"""Starting programs, watching them, saying why they failed, and keeping what they wrote."""
