"""Fifty-eight networks as people write them, without any library of models."""

from docs_tools.census.plain import images, pictures, sequences, vectors

PLAIN = images.NETWORKS | pictures.NETWORKS | sequences.NETWORKS | vectors.NETWORKS
