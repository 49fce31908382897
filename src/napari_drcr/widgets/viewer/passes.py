"""The passes of a network that made cube layers: remembered as long as the layers are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_drcr.inference.passes import Pass

_passes: WeakKeyDictionary[Image, tuple[Pass, ref[Any]]] = WeakKeyDictionary()
"""The pass of each layer, and the array that it made."""


def remember_pass(layer: Image, made: Pass) -> None:
    """Remember the pass that made the values, an array, of a cube layer; with the layer it is forgotten."""
    _passes[layer] = made, ref(layer.data)


def pass_of_layer(layer: Image) -> Pass | None:
    """The pass that made the values of a cube layer; None if none is known, or the layer has been given other values since."""
    made, values = _passes.get(layer, (None, None))
    return made if values is not None and values() is layer.data else None
