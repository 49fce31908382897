"""The pairs of estimate and truth that the dock Error map maps, and what is known about each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from napari_drcr.analysis.metrics import WorstPixel
from napari_drcr.widgets.error_map.layers import ErrorLayers
from napari_drcr.widgets.error_map.measure import Measure, map_facts, percent
from napari_drcr.widgets.error_map.tables import ScoreRow
from napari_drcr.widgets.viewer.layers import is_cube_layer, model_of_layer
from napari_drcr.widgets.viewer.marks import PALETTE, free_colour

if TYPE_CHECKING:
    import xarray as xr
    from napari.layers import Image, Layer


@dataclass(eq=False)
class Pair:
    """An estimate, its truth, and what is known about their difference."""

    estimate: Image
    truth: Image
    colour: str
    summary: Summary | None = None
    rows: list[ScoreRow] = field(default_factory=list)

    def facts(self, measure: Measure, left_out_share: float, gray_share: float) -> dict[str, Any]:
        """What a map of it says about itself; see `map_facts`."""
        return {
            **measure._asdict(),
            "truth": self.truth.name,
            "estimate": self.estimate.name,
            "model": model_of_layer(self.estimate),
            "left_out_share": left_out_share,
            "gray_share": gray_share,
        }


class Summary(NamedTuple):
    """What the dock shows beside the maps."""

    measure: Measure
    wavelengths: npt.NDArray[np.float64]
    """Of the bands that both cubes have, in nm."""
    curve: xr.DataArray | None
    """One error per band, except of spectral angles."""
    worst: list[WorstPixel]
    left_out: float
    """Share of the entries, of spectral angles that of the pixels; `clipped` is a part of it."""
    clipped: float

    def describe(self) -> str:
        """Say what was compared, and what was left out."""
        nm = self.wavelengths
        bands = "1 band" if nm.size == 1 else f"{nm.size} bands"
        said = f"Compared over {nm[0]:g}\N{EN DASH}{nm[-1]:g} nm, {bands}."
        if self.left_out:
            kind = "without an angle" if self.measure.metric == "sam" else _below(self.measure.floor)
            parts = ((self.left_out - self.clipped, kind), (self.clipped, "clipped"))
            why = ", ".join(f"{percent(share)} {reason}" for share, reason in parts if share > 1e-9)
            share = percent(self.left_out)
            said += f" {share[0].upper()}{share[1:]} left out: {why}."
        return said


def _below(floor: float | None) -> str:
    return f"below the floor {floor:g}" if floor else "not above 0"


class Pairs:
    """One pair for each mapped estimate, in the order in which they were first mapped; `data_changed` is told of new values."""

    def __init__(self, maps: ErrorLayers, data_changed: Callable[[Any], object]) -> None:
        self._maps, self._data_changed = maps, data_changed
        self._pairs: dict[Image, Pair] = {}
        self._followed: set[Image] = set()

    def __iter__(self) -> Iterator[Pair]:
        return iter(list(self._pairs.values()))

    def __contains__(self, pair: Pair) -> bool:
        return self._pairs.get(pair.estimate) is pair

    def get(self, estimate: Image | None) -> Pair | None:
        """The pair of an estimate, if it has one."""
        return None if estimate is None else self._pairs.get(estimate)

    def truth_of(self, estimate: Image | None) -> Image | None:
        """The truth that an estimate is compared with, if it is."""
        pair = self.get(estimate)
        return None if pair is None else pair.truth

    def of(self, estimate: Image, truth: Image) -> Pair:
        """The pair of an estimate and a truth, in place of one with another truth."""
        known = self.get(estimate)
        if known is None or known.truth is not truth:
            colour = free_colour([pair.colour for pair in self], PALETTE) if known is None else known.colour
            self._pairs[estimate] = known = Pair(estimate, truth, colour)
            self._follow()
        return known

    def drop_gone(self, layers: Sequence[Layer]) -> list[Pair]:
        """Forget and return the pairs one of whose cubes is gone, or all of whose maps."""
        gone = [
            pair
            for pair in self
            if pair.estimate not in layers
            or pair.truth not in layers
            or (pair.summary is not None and not self._maps.all(pair.estimate))
        ]
        for pair in gone:
            del self._pairs[pair.estimate]
        self._follow()
        return gone

    def drop_unmapped(self) -> None:
        """Forget the pairs that have no map, since their work was cancelled or failed."""
        self._pairs = {estimate: pair for estimate, pair in self._pairs.items() if self._maps.all(estimate)}
        self._follow()

    def find(self, layers: Sequence[Layer]) -> None:
        """Take up the pairs whose maps and cubes are there already."""
        cubes = {layer.name: layer for layer in layers if is_cube_layer(layer)}
        for facts in filter(None, map(map_facts, self._maps.all())):
            if facts["estimate"] in cubes and facts["truth"] in cubes:
                self.of(cubes[facts["estimate"]], cubes[facts["truth"]])

    def detach(self) -> None:
        """Forget all pairs, and disconnect all callbacks from layers."""
        self._pairs = {}
        self._follow()

    def _follow(self) -> None:
        now = {layer for pair in self for layer in (pair.estimate, pair.truth)}
        for layer in self._followed - now:
            layer.events.data.disconnect(self._data_changed)
        for layer in now - self._followed:
            layer.events.data.connect(self._data_changed)
        self._followed = now
