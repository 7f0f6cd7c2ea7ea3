"""The support matrix: which operations and models convert, found by converting them."""
