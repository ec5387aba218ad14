"""Facts about files and machines, made by looking; never a decision about what to do with them."""
