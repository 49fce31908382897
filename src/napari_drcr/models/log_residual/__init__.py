"""The classical estimate of each pixel, times the exponential of what a residual network says of its surroundings."""
