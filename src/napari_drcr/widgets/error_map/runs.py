"""What of the work of the dock Error map is still to be done, and its run in a thread."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from threading import Event

import numpy as np
import xarray as xr
from qtpy.QtCore import QObject, Signal

from napari_drcr.analysis.metrics import error_cube, error_map, mean_curve, mean_map, scores, worst_pixels
from napari_drcr.analysis.regions import region_mask
from napari_drcr.cubes.cube import CLIPPED, common_bands
from napari_drcr.errors import Cancelled, InputError
from napari_drcr.widgets.error_map.measure import Measure
from napari_drcr.widgets.error_map.pairs import Pair, Summary
from napari_drcr.widgets.error_map.tables import ScoreRow
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.layers import layer_to_cube
from napari_drcr.widgets.viewer.shape_regions import Region

Check = Callable[[], None]
"""Raises `Cancelled` once the work shall end."""

WORST = 20
"""How many of the worst pixels are listed."""
News = xr.DataArray | Summary | list[ScoreRow]
"""A map that is ready, or what there is to be said about a pair."""


class ErrorRuns(Background):
    """Maps and scores pairs, with the settings of the moment.

    A request during a run restarts it, with what was not done yet. `measure` returns what is to be
    mapped, and the floor of the scores; `regions` the regions of a pair. `failed` takes the sentence that says why a run
    failed.

    Attributes
    ----------
    made : Signal(object, object)
        A pair and what was found out about it: a map, a `Summary` or a list of `ScoreRow`.
    """

    made = Signal(object, object)

    def __init__(
        self,
        parent: QObject,
        measure: Callable[[], tuple[Measure, float | None]],
        regions: Callable[[Pair], Sequence[Region]],
        failed: Callable[[str], object],
    ) -> None:
        super().__init__(parent, failed, lambda notice: self.notices.setdefault(notice), task="The error map")
        self._measure, self._regions = measure, regions
        self.finished.connect(self._forget_all)
        self._stop = Event()
        self.destroyed.connect(self._stop.set)
        self._to_map: list[Pair] = []
        self._to_score: list[Pair] = []
        self.notices: dict[str, None] = {}
        """What the last run assumed, each sentence once."""

    def start(self, to_map: Iterable[Pair] = (), to_score: Iterable[Pair] = ()) -> None:
        """Map and score some pairs, and only score others."""
        to_map = list(to_map)
        self._to_map += [pair for pair in to_map if pair not in self._to_map]
        self._to_score += [pair for pair in (*to_map, *to_score) if pair not in self._to_score]
        if not self._to_score:
            return
        self.destroyed.disconnect(self._stop.set)
        self._stop.set()
        self._stop, self.notices = Event(), {}
        self.destroyed.connect(self._stop.set)
        self.run(
            _work,
            list(self._to_map),
            [(pair, self._regions(pair)) for pair in self._to_score],
            *self._measure(),
            self._stop,
            progress=self._take,
        )

    def forget(self, pair: Pair) -> None:
        """Drop a pair from what is still to be done."""
        for waiting in (self._to_map, self._to_score):
            if pair in waiting:
                waiting.remove(pair)

    def cancel(self) -> None:
        """End the work at its next band."""
        self._forget_all()
        self._stop.set()
        super().cancel()

    def _take(self, pair: Pair, news: News) -> None:
        for waiting, last in ((self._to_map, Summary), (self._to_score, list)):
            if isinstance(news, last) and pair in waiting:
                waiting.remove(pair)
        self.made.emit(pair, news)

    def _forget_all(self) -> None:
        self._to_map, self._to_score = [], []


def _work(
    to_map: Sequence[Pair],
    to_score: Sequence[tuple[Pair, Sequence[Region]]],
    measure: Measure,
    floor: float | None,
    stop: Event,
) -> Generator[tuple[Pair, News], None, None]:
    """In a thread, each pair's maps, the one by band first, and its summary; then the scores of each."""

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
