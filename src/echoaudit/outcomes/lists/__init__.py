"""Lists of names: data files only, read by ``echoaudit.outcomes.organisations``."""
