"""Spectra of places in cube layers: read once, and off the GUI thread where reading takes time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, QTimer, Signal

from napari_drcr.analysis.regions import Statistic, region_spectrum
from napari_drcr.analysis.spectra import spectrum_at
from napari_drcr.errors import ChangedFile, InputError
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.layers import layer_to_cube

if TYPE_CHECKING:
    import xarray as xr
    from napari.layers import Image

Key = tuple[Any, ...]


class Place(NamedTuple):
    """A pixel, or a region if it has corners, in pixels of the cubes; its colour is a hex string."""

    name: str
    colour: str
    y: int = 0
    x: int = 0
    corners: npt.NDArray[np.float64] | None = None

    @property
    def where(self) -> Key:
        """What tells it from other places."""
        return (self.y, self.x) if self.corners is None else (self.corners.tobytes(),)


class Reading(NamedTuple):
    """The spectrum of a pixel, or the centre and spread of a region's."""

    centre: xr.DataArray
    low: xr.DataArray | None = None
    high: xr.DataArray | None = None


class SpectrumReader(QObject):
    """Reads spectra, and remembers them as long as their layers' data stay what they are.

    Pixels of arrays in memory are read at once. What is on disk, and regions, are read in a thread. `failed` and `told` take
    sentences, as those of `Background`.

    Attributes
    ----------
    arrived : Signal
        More can be read than before.
    """

    arrived = Signal()

    def __init__(self, parent: QObject, failed: Callable[[str], object], told: Callable[[str], object]) -> None:
        super().__init__(parent)
        self._background = Background(self, failed, told, task="Reading the spectra", remedy="check the layer's file")
        self._cubes: dict[Image, xr.DataArray] = {}
        self._known: dict[Key, Reading | None] = {}
        self._wanted: dict[Key, tuple[Place, Statistic]] = {}
        self._timer = QTimer(self, singleShot=True, interval=0)
        self._timer.timeout.connect(self._start)

    def use(self, layers: Iterable[Image]) -> None:
        """Read from these cube layers, and forget others.

        Raises
        ------
        InputError
            If one is none.
        """
        wanted = list(layers)
        for layer in [layer for layer in self._cubes if layer not in wanted]:
            layer.events.data.disconnect(self._forget_layer)
            self._forget(layer)
            del self._cubes[layer]
        for layer in wanted:
            if layer not in self._cubes:
                self._cubes[layer] = layer_to_cube(layer)
                layer.events.data.connect(self._forget_layer)

    def cube(self, layer: Image) -> xr.DataArray:
        """The cube (bands, y, x) of a layer in use."""
        return self._cubes[layer]

    def read(self, layer: Image, place: Place, statistic: Statistic = "mean") -> Reading | None:
        """The spectrum at a place of a layer in use, of a region as `region_spectrum` gives it.

        None where the layer has no such place, and as long as it is being read; `arrived` says when to ask again.
        """
        key = (layer, *place.where, statistic)
        if key not in self._known:
            if place.corners is None and _in_memory(layer):
                self._known[key] = _read(self._cubes[layer], place, statistic)
            else:
                self._wanted[key] = place, statistic
                self._timer.start()
        return self._known.get(key)

    def read_all(
        self, layers: Iterable[Image], places: Sequence[Place], statistic: Statistic = "mean"
    ) -> dict[tuple[Image, Key], Reading]:
        """The spectra at places in cubes, by layer and `Place.where`, as far as they are there already."""
        found = {(layer, place.where): self.read(layer, place, statistic) for layer in layers for place in places}
        return {key: reading for key, reading in found.items() if reading is not None}

    def forget(self) -> None:
        """Give up what was read, and what is being read."""
        self._background.cancel()
        self._known.clear()
        self._wanted.clear()

    def detach(self) -> None:
        """Stop, and disconnect all callbacks from layers."""
        self._timer.stop()
        self._background.detach()
        self.use([])

    def _forget_layer(self, event: Any) -> None:
        layer = event.source
        self._forget(layer)
        self._cubes[layer] = layer_to_cube(layer)
        self.arrived.emit()

    def _forget(self, layer: Image) -> None:
        for keys in (self._known, self._wanted):
            for key in [key for key in keys if key[0] is layer]:
                del keys[key]

    def _start(self) -> None:
        jobs = [(key, self._cubes[key[0]], place, statistic) for key, (place, statistic) in self._wanted.items()]
        self._background.run(_read_all, jobs, progress=self._keep)

    def _keep(self, key: Any, reading: Any) -> None:
        if self._wanted.pop(key, None) is not None:
            self._known[key] = reading
            self.arrived.emit()


def _in_memory(layer: Image) -> bool:
    return isinstance(layer.data, np.ndarray) and not isinstance(layer.data, np.memmap)


def _read(cube: xr.DataArray, place: Place, statistic: Statistic) -> Reading | None:
    try:
        if place.corners is None:
            return Reading(spectrum_at(cube, place.y, place.x))
        return Reading(*region_spectrum(cube, place.corners, statistic))
    except ChangedFile:
        raise
    except InputError:
        # Points and shapes may be outside the image, where there is no spectrum.
        return None


def _read_all(jobs: list[tuple[Key, xr.DataArray, Place, Statistic]]) -> Generator[tuple[Key, Reading | None], None, None]:
    for key, cube, place, statistic in jobs:
        yield key, _read(cube, place, statistic)
