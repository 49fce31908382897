"""How an RGB image comes from a cube: the pipeline, response curves, the Bayer mosaic, and the named cameras."""

from __future__ import annotations

from napari_drcr.camera.named import CAMERAS, find_camera
from napari_drcr.camera.pipeline import JPEG_GRID, Camera

__all__ = ["CAMERAS", "JPEG_GRID", "Camera", "find_camera"]
