"""The spectrum under the pointer, drawn while it moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_drcr.widgets.spectrum.cube_choice import CubeChoice
from napari_drcr.widgets.spectrum.curves import CurveMaker, Settings
from napari_drcr.widgets.spectrum.reader import Place, SpectrumReader
from napari_drcr.widgets.viewer.canvas import PointerListener
from napari_drcr.widgets.viewer.navigation import pixel_at

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image

    from napari_drcr.widgets.plot.widget import SpectrumPlot

COLOUR = "#ff9f1c"


class PointerPreview(QObject):
    """Draws, over all else, the spectrum of the pixel under the pointer while Shift is held, or always.

    Of a cube on disk only the newest pixel is read: reading those that the pointer has left is cancelled.
    """

    def __init__(
        self,
        viewer: Viewer,
        cubes: CubeChoice,
        plot: SpectrumPlot,
        settings: Callable[[], Settings],
        failed: Callable[[str], object],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._cubes, self._plot, self._settings = viewer, cubes, plot, settings
        self._layers: list[Image] = []
        self._maker = CurveMaker()
        self._place: Place | None = None
        self._reader = SpectrumReader(self, failed, lambda _: None)
        self._reader.arrived.connect(self._show)
        self._pointer = PointerListener(viewer, self._move)

    def start(self, *, always: bool) -> None:
        """Follow the pointer, always or while the key is held."""
        self._pointer.always = always
        self._pointer.start()

    def stop(self) -> None:
        """Follow it no longer, and take the preview away."""
        self._pointer.stop()
        self._move(None)

    def use(self, layers: list[Image]) -> None:
        """Read from these cubes."""
        self._layers = layers
        self._reader.use(layers)

    def detach(self) -> None:
        """Disconnect all callbacks."""
        self._pointer.stop()
        self._reader.detach()

    def _move(self, position: tuple[float, ...] | None) -> None:
        host = self._cubes.host
        pixel = None if position is None or host is None else pixel_at(self._viewer, host, position)
        place = None if pixel is None else Place("pointer", COLOUR, *pixel)
        if place != self._place:
            self._place = place
            self._reader.forget()
            self._show()

    def _show(self) -> None:
        place = self._place
        if place is None:
            self._plot.preview([])
            return
        readings = self._reader.read_all(self._layers, [place])
        drawing = self._maker.draw([place], readings, self._cubes.styles, self._cubes.truth.value, self._settings())
        self._plot.preview(drawing.curves, drawing.errors)
