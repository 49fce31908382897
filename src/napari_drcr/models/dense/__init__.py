"""Densely connected networks: HSCNN-D and those derived from it."""
