"""Real networks as spikes: docs/real.md and its records."""
