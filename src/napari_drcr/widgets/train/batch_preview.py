"""A button that shows a batch of training patches as layers: what the network takes and, beside it, what it should give."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QPushButton

from napari_drcr.cubes.colorimetry import encode_srgb
from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.training.config import make_config
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.choosers import explained
from napari_drcr.widgets.viewer.layers import LayerData, cube_to_layer_data, show_wavelength

if TYPE_CHECKING:
    from napari.layers import Layer

ABOUT = "<p>Adds the patches of a batch, as training sees them, as layers: RGB, and the cubes beside. The first is the first of the run.</p>"
SHOWN_BAND = 550.0
RGB_NAME, CUBE_NAME = "batch (RGB)", "batch (cubes)"
BATCH_KEY = "batch_of"
"""Entry of ``metadata["napari_drcr"]`` of the cubes: the scene of each patch."""
GAP = 2
"""Pixels between two patches."""


class BatchPreview(QObject):
    """Makes batches in a thread, when `make` is called; each takes the place of the last one.

    Attributes
    ----------
    said : Signal(str)
        What is being done, or has come of it.
    button : QPushButton
        Whoever makes this connects it.
    """

    said = Signal(str)

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._made = 0
        self._folder = False
        self._layers: list[Layer] = []
        self.button = explained(QPushButton("Preview a batch"), ABOUT)
        self._background = Background(self.button, self.said.emit, self.said.emit, task="The preview")
        self._background.finished.connect(self._update_button)

    @property
    def making(self) -> bool:
        """Whether a batch is being made."""
        return self._background.running

    def make(self, content: dict[str, Any]) -> None:
        """Make a batch of a run (as in a YAML file) and show it; first that with which the run begins, then others."""
        seed = content.get("seed", 0) + self._made if self._made else None
        self._made += 1
        self.said.emit("Making a batch\N{HORIZONTAL ELLIPSIS}")
        self._background.run(batch_layers, content, seed, done=self._show)
        self._update_button()

    def begin_again(self) -> None:
        """Make that with which the run begins next."""
        self._made = 0

    def allow(self, folder: bool) -> None:
        """Offer the button if there is a folder to take patches from."""
        self._folder = folder
        self._update_button()

    def detach(self) -> None:
        """Show nothing any more, and hold no layer."""
        self._background.detach()
        self._layers.clear()

    def _update_button(self) -> None:
        self.button.setEnabled(self._folder and not self.making)

    def _show(self, made: tuple[list[LayerData], list[str]]) -> None:
        described, names = made
        for layer in self._layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        alone = not self._viewer.layers
        self._layers = [self._viewer.add_image(values, **properties) for values, properties, _ in described]
        show_wavelength(self._viewer)
        self._viewer.dims.set_point(self._viewer.dims.ndim - 3, SHOWN_BAND)
        if alone:
            # napari fits its view to the first of the two only.
            self._viewer.reset_view()
        self.said.emit(f"Patches, row by row: {', '.join(names)}.")


def batch_layers(content: dict[str, Any], seed: int | None = None) -> tuple[list[LayerData], list[str]]:
    """Make a batch of a run (as in a YAML file), and lay its patches out on two sheets; runs in a thread.

    The seed is that of `napari_drcr.training.preview.preview_batch`. Returned are RGB and cubes, for ``viewer.add_image``, and
    the scene of each patch, row by row; an `InputError` says what is wrong with the values or the data.
    """
    # Here and not above: torch takes seconds to import.
    from napari_drcr.training.preview import preview_batch

    rgb, cubes, names = preview_batch(make_config(content, source="the form"), seed)
    colours = np.moveaxis(_sheet(encode_srgb(np.moveaxis(rgb, -1, 1).clip(0, 1))), 0, -1).astype(np.float32)
    cube = make_cube(_sheet(cubes), WAVELENGTHS, name=CUBE_NAME, attrs={BATCH_KEY: names})
    values, properties, kind = cube_to_layer_data(cube)
    start, *_ = properties["translate"]
    properties["translate"] = (start, 0.0, float(colours.shape[1] + 4 * GAP))
    return [(colours, {"name": RGB_NAME, "rgb": True}, kind), (values, properties, kind)], names


def _sheet(patches: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Lay patches (n, channels, y, x) out in rows."""
    count, channels, height, width = patches.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.zeros((channels, rows * (height + GAP) - GAP, columns * (width + GAP) - GAP), patches.dtype)
    for number, patch in enumerate(patches):
        top, left = number // columns * (height + GAP), number % columns * (width + GAP)
        sheet[:, top : top + height, left : left + width] = patch
    return sheet
