"""Measuring which settings of this machine's encoders look alike, for the planner to use."""
