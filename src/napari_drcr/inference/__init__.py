"""From an RGB image to a cube: preparation, passes, self-ensemble, reconstruction."""
