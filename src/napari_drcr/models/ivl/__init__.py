"""The networks of IVL: Fast, Squeeze and Fast-n-Squeeze, per-pixel matrices chosen by the statistics of an image."""
