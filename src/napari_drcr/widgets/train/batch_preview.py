"""A button that shows a batch of training patches as layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import napari
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QPushButton

from napari_drcr.widgets.train.batch_layers import batch_layers
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.choosers import explained
from napari_drcr.widgets.viewer.layers import LayerData, show_wavelength

if TYPE_CHECKING:
    from napari.layers import Layer

ABOUT = "<p>Adds the patches of a batch, as training sees them, as layers: RGB, and the cubes beside. The first is the first of the run.</p>"
SHOWN_BAND = 550.0


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
