"""The dock widget Error map: where, and in which bands, an estimate is wrong."""

from __future__ import annotations

from napari_drcr.widgets.error_map.dock import ErrorMap

__all__ = ["ErrorMap"]
