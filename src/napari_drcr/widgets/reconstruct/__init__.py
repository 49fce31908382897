"""The dock widget Reconstruct."""

from __future__ import annotations

from napari_drcr.widgets.reconstruct.reconstruct import Reconstruct, reconstruct_active_layer

__all__ = ["Reconstruct", "reconstruct_active_layer"]
