"""Networks that look at an image in four resolutions at once: HRNet, CSAN."""
