"""Many clips out of one source: what was asked for, their export, how far each is."""
