"""Spectral transformers, whose attention relates channels instead of pixels: MST++, MST-L, Restormer."""
