"""Run folders: what a page needs, written by the measuring commands and read back."""
