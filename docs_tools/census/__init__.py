"""The census: which of 290 published architectures convert, each tried with random weights.

An architecture is built as its users build it and handed over as they call it: with several
inputs, dicts, token ids, lists. Nothing is downloaded. `entries` lists them, `examine` tries
one, `run` tries many, each in a process of its own, and `page` writes docs/census.md.
"""
