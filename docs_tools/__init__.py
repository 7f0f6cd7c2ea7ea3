"""What the documentation generates: reference pages, plots, the support matrix, peers' claims."""
