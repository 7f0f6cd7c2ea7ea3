"""Networks that others trained, as spikes: docs/real.md and its records."""
