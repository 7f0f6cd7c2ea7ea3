"""Energy, layer by layer: which layers cost it, and what in them."""
