"""The simulated internet: one process that serves every name of a world."""
