"""Converted networks in the formats of other tools."""
