"""Models: what every network offers (`architecture`), files in and out (`store`), and the networks."""
