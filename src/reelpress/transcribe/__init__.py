"""Speech to text, in a process of its own: nothing here loads a model into the caller."""
