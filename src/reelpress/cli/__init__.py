"""The command line: reads arguments, calls the engine, shows what it says."""
