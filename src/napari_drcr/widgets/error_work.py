"""The work of the dock Error map, done in a thread: maps, curves, worst pixels and scores, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from napari_drcr.cube import CLIPPED, common_bands
from napari_drcr.errors import Cancelled, InputError
from napari_drcr.metrics import WorstPixel, error_cube, error_map, mean_curve, mean_map, scores, worst_pixels
from napari_drcr.regions import region_mask
from napari_drcr.widgets.error_layers import Measure
from napari_drcr.widgets.error_tables import ScoreRow
from napari_drcr.widgets.layers import layer_to_cube

if TYPE_CHECKING:
    import xarray as xr
    from napari.layers import Image

    from napari_drcr.widgets.shape_regions import Region

Check = Callable[[], None]
"""Raises `Cancelled` once the work shall end."""

WORST = 20
"""How many of the worst pixels are listed."""


@dataclass(eq=False)
class Pair:
    """An estimate, its truth, and what is known about their difference."""

    estimate: Image
    truth: Image
    colour: str
    summary: Summary | None = None
    rows: list[ScoreRow] = field(default_factory=list)


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
            why = ", ".join(f"{_percent(share)} {reason}" for share, reason in parts if share > 1e-9)
            share = _percent(self.left_out)
            said += f" {share[0].upper()}{share[1:]} left out: {why}."
        return said


def _percent(share: float) -> str:
    return (f"{100 * share:.1f} %" if share >= 0.0005 else "under 0.1 %").replace(" %", "\N{NO-BREAK SPACE}%")


def _below(floor: float | None) -> str:
    return f"below the floor {floor:g}" if floor else "not above 0"


class Made(NamedTuple):
    """A map that is ready, or what there is to be said about a pair."""

    pair: Pair
    what: xr.DataArray | Summary | list[ScoreRow]


def work(
    to_map: Sequence[Pair],
    to_score: Sequence[tuple[Pair, Sequence[Region]]],
    measure: Measure,
    floor: float | None,
    stop: Event,
) -> Generator[Made, None, None]:
    """Compare pairs.

    Parameters
    ----------
    to_map : sequence of Pair
        Those that want maps and a summary.
    to_score : sequence of (Pair, sequence of Region)
        Those that want scores, and where besides the whole image, in pixels of the estimate.
    measure : Measure
        What is mapped.
    floor : float or None
        Of the MRAE among the scores.
    stop : threading.Event
        When it is set, the work ends at the next band.

    Yields
    ------
    Made
        Of each its maps, the one by band first, and its summary; then the scores of each.
    """

    def check() -> None:
        if stop.is_set():
            raise Cancelled

    try:
        for pair in to_map:
            yield from _maps(pair, measure, check)
        for pair, regions in to_score:
            yield Made(pair, list(_rows(pair, floor, regions, check)))
    except Cancelled:
        return
    except RuntimeError as error:
        # superqt takes a RuntimeError for a deleted worker and would never say that the work has ended.
        raise OSError(str(error)) from error


def _maps(pair: Pair, measure: Measure, check: Check) -> Generator[Made, None, None]:
    check()
    truth, estimate = layer_to_cube(pair.truth), layer_to_cube(pair.estimate)
    clipped = estimate[CLIPPED].values if CLIPPED in estimate.coords else None
    curve = None
    if measure.metric == "sam":
        mean = error_map(truth, estimate, "sam", clipped=clipped)
        left_out = mean.attrs["left_out"] / mean.size
        if left_out == 1:
            raise InputError("no pixel is left to compare: every one is clipped, or zero in all bands.")
        wavelengths = common_bands(truth, estimate)[0]
    else:
        bands = error_cube(truth, estimate, measure.metric, measure.floor, clipped=clipped, check=check)
        wavelengths, left_out = bands["wavelength"].values, bands.attrs["left_out_share"]
        yield Made(pair, bands)
        check()
        mean, curve = mean_map(bands), mean_curve(bands)
    mean = mean.astype(np.float32).assign_attrs(left_out_share=left_out)
    yield Made(pair, mean)
    check()
    apart = max(3, max(mean.shape) // 30)
    share = 0.0 if clipped is None else float(clipped.mean())
    yield Made(pair, Summary(measure, wavelengths, curve, worst_pixels(mean, WORST, apart), left_out, share))


def _rows(pair: Pair, floor: float | None, regions: Sequence[Region], check: Check) -> Iterator[ScoreRow]:
    """Scores of the image, then of each region."""
    truth, estimate = layer_to_cube(pair.truth), layer_to_cube(pair.estimate)
    label = pair.estimate.name, pair.colour
    check()
    yield ScoreRow(*label, "image", scores(truth, estimate, floor))
    for region in regions:
        check()
        try:
            mask = region_mask(region.corners, (truth.sizes["y"], truth.sizes["x"]))
            yield ScoreRow(*label, region.name, scores(truth, estimate, floor, mask=mask))
        except InputError as error:
            yield ScoreRow(*label, region.name, None, str(error))
