"""AWAN: features re-calibrated by weighted means, and bands by attention between the pixels of each quadrant."""
