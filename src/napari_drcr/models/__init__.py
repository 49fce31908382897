"""Models: what every network offers (`architecture`), files in and out (`store`), and the networks themselves.

The networks that come along are registered here, and after them those that other installed packages name as entry points of the group
``napari_drcr.architectures``, each a subclass of `napari_drcr.models.architecture.Architecture`.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from napari_drcr.models.architecture import register
from napari_drcr.models.drcr.architecture import DRCR
from napari_drcr.models.pixel_map import PixelMaps
from napari_drcr.models.rda.architecture import ResidualDenseAttention

register(DRCR())
register(PixelMaps())
register(ResidualDenseAttention())
for _found in entry_points(group="napari_drcr.architectures"):
    register(_found.load()())
