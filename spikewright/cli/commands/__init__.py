"""The commands, one a file: a function whose parameters are the options, and what it needs."""
