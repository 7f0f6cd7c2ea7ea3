"""The commands, one a file: their options and help, and the few lines that carry them out.

Nothing heavy is imported before a command runs, so that `--help` answers soon.
"""
