"""Results of a benchmark, as a table, as sentences with suggestions, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import median
from textwrap import fill
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_drcr.benchmark.child import Way

Float32Array = npt.NDArray[np.float32]

MATTERS = 1.1
"""A setting is suggested where it makes a pass faster by more than this."""
HEADER = ["way", "s", "/plain", "/fair", "/floor", "memory", "largest", "mean"]

WIDTH = 18
"""Characters per line of the table's first column."""


@dataclass(frozen=True)
class Deviation:
    """How far a cube is from another.

    Attributes
    ----------
    largest : float
        Largest difference over the largest absolute value of the other.
    mean : float
        Mean absolute difference over the mean absolute value of the other.
    """

    largest: float
    mean: float

    @classmethod
    def between(cls, cube: Iterable[Float32Array], reference: Iterable[Float32Array]) -> Deviation:
        """Compare two cubes band by band.

        Parameters
        ----------
        cube, reference : iterable of ndarray
            As many bands of one shape.

        Returns
        -------
        Deviation
        """
        largest = total = peak = level = 0.0
        for mine, other in zip(cube, reference, strict=True):
            difference, size = np.abs(mine - other), np.abs(other)
            largest, peak = max(largest, float(difference.max())), max(peak, float(size.max()))
            total, level = total + float(difference.sum(dtype=float)), level + float(size.sum(dtype=float))
        return cls(largest / peak if peak else 0.0, total / level if level else 0.0)


@dataclass(frozen=True)
class Row:
    """Results of one way to run the network.

    Attributes
    ----------
    way : Way
    seconds : tuple of float
        Of each timed pass; empty where there is none.
    memory : int or None
        Bytes that the first pass took at most over what there was before it; None where the device does not report it.
    floor : float or None
        Seconds that the network's multiply-adds take at the rate of its convolution on its own, in this precision.
    deviation : Deviation or None
        From the report's `reference`; None for that itself.
    left_out : str
        Why there is no time, as the end of a sentence; empty where there is one.
    """

    way: Way
    seconds: tuple[float, ...] = ()
    memory: int | None = None
    floor: float | None = None
    deviation: Deviation | None = None
    left_out: str = ""

    @property
    def median(self) -> float | None:
        """Of the seconds."""
        return median(self.seconds) if self.seconds else None


@dataclass(frozen=True)
class Report:
    """All results of a benchmark.

    Attributes
    ----------
    model : str
        Name of the network.
    trained : bool
        False for random weights.
    sizes : str
        Of the network.
    size : tuple of int
        Height and width of the image in pixels.
    device, device_name, processor : str
        Where.
    threads : int
        That torch computes with on the CPU.
    date : str
    versions : dict of str to str
    rounds : int
    warmed_up : bool
        Whether each way had a warm-up pass.
    multiply_adds : int
        Of a pass.
    rates : dict of str to float
        Multiply-adds per second of the network's convolution on its own, for "DEVICE PRECISION".
    rows : tuple of Row
    reference : str or None
        Title of the way whose cube the others are compared with.
    tile : int or None
        Automatic side of the pieces.
    tiles : dict of int to float
        Side of the pieces to the median of seconds in the `chosen` precision, measured in rounds of their own; may be empty.
    thread_times : dict of int to float
        Threads to the median of seconds, likewise.
    chosen : str or None
        Precision in which the network's own way was fastest.
    refining : dict of str to float
        Seconds for one pixel after a pass: "at once" with its statistics of the whole image, "exact" with those of a float32 pass
        that is made first, "exact again" when they are known.
    start_up : dict of str to float
        See `napari_drcr.benchmark.processes.start_up`; may be empty.
    """

    model: str
    trained: bool
    sizes: str
    size: tuple[int, int]
    device: str
    device_name: str
    processor: str
    threads: int
    date: str
    versions: dict[str, str]
    rounds: int
    warmed_up: bool
    multiply_adds: int
    rates: dict[str, float]
    rows: tuple[Row, ...]
    reference: str | None
    tile: int | None
    tiles: dict[int, float]
    thread_times: dict[int, float]
    chosen: str | None
    refining: dict[str, float]
    start_up: dict[str, float]

    def find(self, how: str, precision: str = "fp32") -> Row | None:
        """The row of a way on the device, if it was measured."""
        for row in self.rows:
            if row.seconds and (row.way.how, row.way.precision, row.way.device) == (how, precision, self.device):
                return row
        return None

    def table(self) -> list[list[str]]:
        """A row of cells for each way, under `HEADER`."""
        plain, fair = (row.median if row else None for row in (self.find("plain"), self.find("fair")))
        return [self._cells(row, plain, fair) for row in self.rows]

    def _cells(self, row: Row, plain: float | None, fair: float | None) -> list[str]:
        if row.median is None:
            return [fill(f"{row.way.title}: {row.left_out}", WIDTH), *("" for _ in HEADER[1:])]
        compared = ["-", "-"]
        if row.way.title == self.reference:
            compared = ["0", "0"]
        elif row.deviation is not None:
            compared = [f"{row.deviation.largest:.1e}", f"{row.deviation.mean:.1e}"]
        ratios = [f"{row.median / other:.2f}" if other else "-" for other in (plain, fair, row.floor)]
        return [row.way.title, _three_digits(row.median), *ratios, _size(row.memory), *compared]

    def head(self) -> list[str]:
        """What was measured, where and how, in sentences."""
        height, width = self.size
        passes = "a median of one pass" if self.rounds == 1 else f"the median of {self.rounds} passes"
        first = "after one that does not count" if self.warmed_up else "the first one included, as a pass takes long here"
        said = [
            f"{self.model} ({self.sizes}) on an image of {height} x {width} pixels, "
            f"{self.device_name}{'' if self.device == 'cpu' else f', beside {self.processor}'}, {self.threads} threads; "
            f"{', '.join(f'{name} {number}' for name, number in self.versions.items())}.",
            f"Each way runs in a process of its own; s is {passes}, {first}, the ways in turn, and beside it are its "
            "ratios to plain, fair and the floor (see below). Memory is what a pass takes at most "
            "beyond the loaded network, the cube included.",
            "Plain is the whole image as the released code runs it (fp32), fair the same with channels-last memory; the others are napari-drcr's own "
            "way.",
        ]
        if self.reference is not None:
            said.append(
                f"Deviations (largest, mean) are from {self.reference}: the largest difference over the largest value, and the mean one "
                "over the mean."
            )
        if not self.trained:
            said.append("The weights are random: speed and memory are those of a trained network, deviations say little.")
        if self.device.startswith("cuda"):
            said.append("In fp32 plain and fair use TF32, torch's default; the others do not, nor does the reference cube.")
        return said

    def findings(self) -> list[str]:
        """Conclusions, in sentences: the floor, recommended settings, expected waiting times."""
        rates = ", ".join(f"{rate / 1e9:.0f} GMAC/s ({where})" for where, rate in self.rates.items())
        said = [
            f"The floor: the network needs {_three_digits(self.multiply_adds / 1e9)} GMAC (multiply-adds) for this image, and its own "
            f"convolution on its own reaches {rates}."
        ]
        said += self._on_own_way() + self._on_precision() + self._on_tiles() + self._on_threads()
        if "at once" in self.refining:
            after = f" after a {self.chosen} pass" if self.chosen != "fp32" else ""
            said.append(f"Refining a pixel{after} takes {_three_digits(self.refining['at once'])} s.")
        if "exact" in self.refining:
            said.append(
                f"Refining it exactly takes {_three_digits(self.refining['exact'])} s the first time, with a float32 pass for the statistics, "
                f"and {_three_digits(self.refining['exact again'])} s from then on."
            )
        if self.start_up:
            parts = {name: _three_digits(seconds) for name, seconds in self.start_up.items()}
            said.append(
                f"A fresh start that estimates the bundled sample (240 x 320) takes {parts['all']} s: {parts['importing']} s importing, "
                f"{parts['loading']} s loading the model, {parts['first']} s for the estimate, the rest for Python."
            )
        return said

    def _on_own_way(self) -> list[str]:
        own, plain, fair = self.find("own"), self.find("plain"), self.find("fair")
        said = []
        if own and own.median and plain and plain.median:
            memory = f" and {own.memory / plain.memory:.2f} of its memory" if own.memory and plain.memory else ""
            said.append(f"{own.way.title} takes {own.median / plain.median:.2f} of the plain path's time{memory}.")
        if own and own.median and fair and fair.median and own.median > MATTERS * fair.median:
            said.append(
                f"The whole image in channels-last memory was {own.median / fair.median:.2f} times as fast as {own.way.title} here; a larger "
                "--tile comes closer to it."
            )
        return said

    def _on_precision(self) -> list[str]:
        from napari_drcr.system.devices import choose_precision

        automatic = choose_precision("auto", self.device)
        times = {
            row.way.precision: row.median
            for row in self.rows
            if row.median and (row.way.how, row.way.device) == ("own", self.device)
        }
        if automatic not in times or len(times) < 2:
            return []
        best = min(times, key=lambda precision: times[precision])
        gain = times[automatic] / times[best]
        # fp32 is preferred where it is no slower, as it rounds less.
        if best != automatic and (best == "fp32" or gain > MATTERS):
            return [f"{best} was {gain:.2f} times as fast as {automatic} here: take --precision {best}."]
        others = [
            f"{time / times[automatic]:.2f} times as fast as {other}" for other, time in times.items() if other != automatic
        ]
        return [f"auto takes {automatic}, which was {_listed(others)} here."]

    def _on_tiles(self) -> list[str]:
        if len(self.tiles) < 2 or self.tile not in self.tiles:
            return []
        best = min(self.tiles, key=lambda side: self.tiles[side])
        gain = self.tiles[self.tile] / self.tiles[best]
        if gain > MATTERS:
            return [f"--tile {best} was {gain:.2f} times as fast as {self.tile}, the automatic one: use it."]
        others = _listed([str(side) for side in self.tiles if side != self.tile])
        return [f"The pieces of side {self.tile} that are taken by themselves are fine: {others} gained no more than 10 %."]

    def _on_threads(self) -> list[str]:
        if len(self.thread_times) < 2 or self.threads not in self.thread_times:
            return []
        best = min(self.thread_times, key=lambda threads: self.thread_times[threads])
        gain = self.thread_times[self.threads] / self.thread_times[best]
        if gain > MATTERS:
            return [
                f"{best} threads were {gain:.2f} times as fast as {self.threads}: set the environment variable OMP_NUM_THREADS={best}."
            ]
        few = min(self.thread_times)
        return [
            f"All {self.threads} threads are best: they are {self.thread_times[few] / self.thread_times[self.threads]:.2f} times as fast as "
            f"{few}."
        ]

    def as_json(self) -> dict[str, Any]:
        """All figures, for `json.dump`."""
        rows = [{**asdict(row), "median": row.median} for row in self.rows]
        return {**asdict(self), "rows": rows}


def _listed(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _three_digits(number: float) -> str:
    return f"{number:.0f}" if number >= 99.5 else f"{number:.3g}"


def _size(memory: int | None) -> str:
    if memory is None:
        return "-"
    return f"{memory / 1e9:.2f} GB" if memory >= 1e9 else f"{memory / 1e6:.0f} MB"
