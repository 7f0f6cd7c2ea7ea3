"""Benchmarks: this project beside the network it came from and beside SpikingJelly, in one run."""
