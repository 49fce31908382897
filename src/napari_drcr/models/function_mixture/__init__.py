"""Function-mixture networks: each pixel weighs what functions of different receptive fields say of it."""
