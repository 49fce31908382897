"""Cubes: what one is (`cube`), values left on disk (`lazy`), colour (`colorimetry`, `rendering`)."""
