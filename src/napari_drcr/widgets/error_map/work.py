"""The work of the dock Error map, done in a thread: maps, curves, worst pixels and scores, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from napari_drcr.analysis.metrics import error_cube, error_map, mean_curve, mean_map, scores, worst_pixels
from napari_drcr.analysis.regions import region_mask
from napari_drcr.cubes.cube import CLIPPED, common_bands
from napari_drcr.errors import Cancelled, InputError
from napari_drcr.widgets.error_map.measure import Measure
from napari_drcr.widgets.error_map.pairs import Pair, Summary
from napari_drcr.widgets.error_map.tables import ScoreRow
from napari_drcr.widgets.viewer.layers import layer_to_cube

if TYPE_CHECKING:
    from napari_drcr.widgets.viewer.shape_regions import Region

Check = Callable[[], None]
"""Raises `Cancelled` once the work shall end."""

WORST = 20
"""How many of the worst pixels are listed."""


News = xr.DataArray | Summary | list[ScoreRow]
"""A map that is ready, or what there is to be said about a pair."""


def work(
    to_map: Sequence[Pair],
    to_score: Sequence[tuple[Pair, Sequence[Region]]],
    measure: Measure,
    floor: float | None,
    stop: Event,
) -> Generator[tuple[Pair, News], None, None]:
    """Compare pairs, in a thread.

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
        When it is set, the work ends at the next band, by `Cancelled`.

    Yields
    ------
    tuple of (Pair, News)
        Of each its maps, the one by band first, and its summary; then the scores of each.
    """

    def check() -> None:
        if stop.is_set():
            raise Cancelled

    for pair in to_map:
        yield from _maps(pair, measure, check)
    for pair, regions in to_score:
        yield pair, list(_rows(pair, floor, regions, check))


def _maps(pair: Pair, measure: Measure, check: Check) -> Iterator[tuple[Pair, News]]:
    check()
    truth, estimate = layer_to_cube(pair.truth), layer_to_cube(pair.estimate)
    clipped = estimate[CLIPPED].values if CLIPPED in estimate.coords else None
    bands = None
    if measure.metric == "sam":
        mean = error_map(truth, estimate, "sam", clipped=clipped)
        left_out = mean.attrs["left_out"] / mean.size
        if left_out == 1:
            raise InputError("no pixel is left to compare: every one is clipped, or zero in all bands.")
        wavelengths = common_bands(truth, estimate)[0]
    else:
        bands = error_cube(truth, estimate, measure.metric, measure.floor, clipped=clipped, check=check)
        wavelengths, left_out = bands["wavelength"].values, bands.attrs["left_out_share"]
        yield pair, bands.assign_attrs(gray_share=left_out)
        check()
        mean = mean_map(bands)
    mean = mean.astype(np.float32).assign_attrs(left_out_share=left_out, gray_share=mean.attrs["left_out"] / mean.size)
    yield pair, mean
    check()
    curve = None if bands is None else mean_curve(bands)
    apart = max(3, max(mean.shape) // 30)
    share = 0.0 if clipped is None else float(clipped.mean())
    yield pair, Summary(measure, wavelengths, curve, worst_pixels(mean, WORST, apart), left_out, share)


def _rows(pair: Pair, floor: float | None, regions: Sequence[Region], check: Check) -> Iterator[ScoreRow]:
    """Scores of the image, then of each region."""
    truth, estimate = layer_to_cube(pair.truth), layer_to_cube(pair.estimate)
    label = pair.estimate.name, pair.colour, floor
    check()
    yield ScoreRow(*label, "image", scores(truth, estimate, floor))
    for region in regions:
        check()
        try:
            mask = region_mask(region.corners, (truth.sizes["y"], truth.sizes["x"]))
            yield ScoreRow(*label, region.name, scores(truth, estimate, floor, mask=mask))
        except InputError as error:
            yield ScoreRow(*label, region.name, None, str(error))
