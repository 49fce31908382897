"""What is shown of a run: read in a thread, and each file only when it has changed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.errors import InputError
from napari_drcr.training.jobs import RunState, list_runs
from napari_drcr.training.jobs.folder import LOG, METRICS, OUTPUT, PREVIEW, STOP
from napari_drcr.training.jobs.records import LossCurve, Preview, read_metrics, read_preview

BINS = 600
"""Stretches of steps that a long curve is drawn with, more than a dock has pixels."""
WINDOW = 0.02
"""Share of the steps so far that the running mean is taken over."""
LONGEST_TAIL = 2**20
"""Bytes of a log that are read for its last lines."""

Curve = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RunRecord:
    """The curves of a run, each of shape (n, 2), its last step, how its model did in the last validation, and what went wrong.

    They are the loss, its running mean, the learning rate and the validation score over the steps. Long ones keep what can be
    seen of them. The trouble is a sentence on what could not be read.
    """

    losses: Curve
    means: Curve
    rates: Curve
    scores: Curve
    step: int
    preview: Preview | None
    trouble: str


class RunReader:
    """Follows the files of a run folder, from one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._curve = LossCurve(folder)
        self._stamps: dict[str, object] = {}
        self._scores: Curve = np.empty((0, 2))
        self._preview: Preview | None = None
        self._trouble = ""
        self._record = self._make()

    def read(self) -> RunRecord:
        """Look what has come; the same object as the last time, as long as nothing has changed."""
        changed = self._curve.update()
        if self._has_changed(METRICS):
            changed = True
            self._read_scores()
        if self._has_changed(PREVIEW):
            changed = True
            preview = read_preview(self.folder)
            self._preview = preview if preview is not None and _can_be_shown(preview) else None
        if changed:
            self._record = self._make()
        return self._record

    def _has_changed(self, name: str) -> bool:
        try:
            stat = (self.folder / name).stat()
            stamp: object = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except OSError:
            stamp = None
        changed = stamp != self._stamps.get(name)
        self._stamps[name] = stamp
        return changed

    def _read_scores(self) -> None:
        self._scores, self._trouble = np.empty((0, 2)), ""
        try:
            rows = [(row["step"], row["mrae"]) for row in read_metrics(self.folder)]
        except InputError as error:
            self._trouble = str(error)
        else:
            self._scores = np.array(rows).reshape(-1, 2)

    def _make(self) -> RunRecord:
        rows = self._curve.rows
        steps, losses = rows[:, 0], rows[:, 1]
        return RunRecord(
            envelope(steps, losses),
            envelope(steps, running_mean(losses)),
            envelope(steps, rows[:, 2]),
            envelope(*self._scores.T),
            int(steps[-1]) if len(steps) else 0,
            self._preview,
            self._trouble,
        )


def _can_be_shown(preview: Preview) -> bool:
    """A stranger's file may hold anything."""
    images = (preview.rgb, preview.truth, preview.estimate)
    bands = [len(image) for image in images] == [3, len(WAVELENGTHS), len(WAVELENGTHS)]
    return bands and all(image.size and image.dtype.kind == "f" for image in images)


def running_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean of each value (n,) and those before it: over a fiftieth of them, at least ten; fewer for the first ones."""
    width = max(10, int(len(values) * WINDOW))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - width, 0)
    return np.asarray((sums[ends] - sums[begins]) / (ends - begins))


def envelope(steps: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> Curve:
    """A curve, shape (m, 2), with fewer points that looks the same: of each stretch its lowest and its highest value."""
    curve = np.column_stack([steps, values])
    if len(curve) <= 2 * BINS:
        return curve
    kept = {0, len(curve) - 1}
    for stretch in np.array_split(np.arange(len(curve)), BINS):
        kept |= {int(stretch[values[stretch].argmin()]), int(stretch[values[stretch].argmax()])}
    return np.asarray(curve[sorted(kept)])


class Seen(NamedTuple):
    """What a look at the runs has shown: the runs, those that were asked to stop, and whose record it is."""

    runs: list[RunState]
    stopping: set[Path]
    reader: RunReader | None
    record: RunRecord | None


def look(folder: Path | None, reader: RunReader | None) -> Seen:
    """Look at all runs of a folder, by default where new ones are kept, and at the files of the one that is read."""
    runs = list_runs(folder)
    stopping = {run.folder for run in runs if run.alive and (run.folder / STOP).exists()}
    return Seen(runs, stopping, reader, None if reader is None else reader.read())


def read_log(folder: Path, lines: int) -> str:
    """The last lines of what a run has written down, and of what its process has printed.

    An `InputError` says that there is neither.
    """
    log, output = (_tail(folder / name, lines) for name in (LOG, OUTPUT))
    if not log and not output:
        raise InputError(f"{folder.name} has no log yet.")
    return "\n\n".join([*filter(None, [log]), *([f"Printed by its process:\n{output}"] if output else [])])


def _tail(path: Path, lines: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - LONGEST_TAIL))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(deque((line.rstrip() for line in text.splitlines() if line.strip()), maxlen=lines))
