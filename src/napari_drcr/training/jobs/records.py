"""Records of a run: scores, losses, a held-back patch. Cheap to import: no torch, no Lightning."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import numpy.typing as npt
from numpy.lib.format import read_array, read_array_header_1_0, read_magic

from napari_drcr.errors import InputError
from napari_drcr.system.archives import check_stored, open_archive
from napari_drcr.system.files import atomic_path
from napari_drcr.training.jobs.folder import LOSSES, METRICS, PREVIEW

METRIC_COLUMNS = ("step", "loss", "mrae", "learning_rate", "seconds")
LOSS_COLUMNS = ("step", "loss", "learning_rate")
LARGEST_PREVIEW = 256
"""Pixels a side; ours have 64."""
LONGEST_NAME = 4096  # bytes

Float16Array = npt.NDArray[np.float16]


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's metrics, oldest first; empty when there are none yet.

    Parameters
    ----------
    folder : Path
        The run folder.

    Returns
    -------
    list of dict
        A row a validation: step, loss (mean since the last row), mrae, learning_rate, seconds (since the start or the last resume).

    Raises
    ------
    InputError
        If the file is damaged.
    """
    path = folder / METRICS
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [{column: float(row[column]) for column in METRIC_COLUMNS} for row in csv.DictReader(file)]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{path} is damaged; delete it to continue without the past figures.") from error


def write_metrics(folder: Path, rows: list[dict[str, float]]) -> None:
    """Replace the metrics atomically.

    Parameters
    ----------
    folder : Path
        The run folder.
    rows : list of dict
        What `read_metrics` will return.
    """
    with atomic_path(folder / METRICS) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, METRIC_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


class LossCurve:
    """The loss of every step, followed while a run writes it.

    Parameters
    ----------
    folder : Path
        The run folder.

    Attributes
    ----------
    rows : ndarray, shape (n, 3), float64
        Step, loss, learning rate.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOSSES
        self._restart(None)

    def _restart(self, file: tuple[int, int] | None) -> None:
        self._file, self._position = file, 0
        self.rows: npt.NDArray[np.float64] = np.empty((0, len(LOSS_COLUMNS)))

    def update(self) -> bool:
        """Read what has come since the last call, or all of it where a resumed run has rewritten the file.

        Returns
        -------
        bool
            Whether `rows` has changed.
        """
        before = self._file, len(self.rows)
        try:
            with self._path.open("rb") as file:
                stat = self._path.stat()
                if (stat.st_dev, stat.st_ino) != self._file or stat.st_size < self._position:
                    self._restart((stat.st_dev, stat.st_ino))
                file.seek(self._position)
                # A line without its end is still being written, or was cut off when the process was killed.
                whole = file.read().rpartition(b"\n")[0]
        except OSError:
            self._restart(None)
        else:
            self._position += len(whole) + bool(whole)
            if fresh := [row for line in whole.splitlines() if (row := _loss_row(line))]:
                self.rows = np.concatenate([self.rows, fresh])
        return before != (self._file, len(self.rows))


def _loss_row(line: bytes) -> list[float] | None:
    try:
        row = [float(value) for value in line.split(b",")]
    except ValueError:  # the header, or damaged
        return None
    return row if len(row) == len(LOSS_COLUMNS) else None


def read_losses(folder: Path) -> npt.NDArray[np.float64]:
    """The loss of every step so far.

    Parameters
    ----------
    folder : Path
        The run folder.

    Returns
    -------
    ndarray, shape (n, 3), float64
        Step, loss, learning rate.
    """
    curve = LossCurve(folder)
    curve.update()
    return curve.rows


@dataclass(frozen=True)
class Preview:
    """A held-back patch as of the last validation.

    Attributes
    ----------
    step : int
        Of that validation.
    scene : str
        Its name.
    rgb : ndarray, shape (3, y, x), float16
        As the network takes it.
    truth, estimate : ndarray, shape (31, y, x), float16
        At 400-700 nm, in the units of the training cubes.
    """

    step: int
    scene: str
    rgb: Float16Array
    truth: Float16Array
    estimate: Float16Array


def read_preview(folder: Path) -> Preview | None:
    """The held-back patch as of the last validation.

    Parameters
    ----------
    folder : Path
        The run folder; it may be untrusted.

    Returns
    -------
    Preview or None
        None if there is none yet, or it is invalid.
    """
    try:
        with open_archive(folder / PREVIEW) as archive:
            check_stored(archive)
            scene, step = _member(archive, "scene", np.str_, 0), _member(archive, "step", np.signedinteger, 0)
            rgb, truth, estimate = (_member(archive, name, np.float16, 3) for name in ("rgb", "truth", "estimate"))
    except Exception:  # Malformed files can make zipfile and numpy raise anything.
        return None
    fits = truth.shape == estimate.shape and rgb.shape[1:] == truth.shape[1:]
    return Preview(int(step), str(scene), rgb, truth, estimate) if fits else None


def _member(archive: ZipFile, name: str, kind: type[np.generic], axes: int) -> npt.NDArray[Any]:
    """An array of an .npz archive, after checking its header."""
    with archive.open(f"{name}.npy") as file:
        if read_magic(file) != (1, 0):
            raise ValueError("not as numpy writes short headers")
        shape, _, dtype = read_array_header_1_0(file)
        if not np.issubdtype(dtype, kind) or len(shape) != axes or max(shape, default=0) > LARGEST_PREVIEW:
            raise ValueError("not what a preview holds")
        if dtype.itemsize > LONGEST_NAME:
            raise ValueError("longer than the name of a scene")
        file.seek(0)
        return np.asarray(read_array(file, allow_pickle=False))


def write_preview(folder: Path, preview: Preview) -> None:
    """Replace the preview.

    Parameters
    ----------
    folder : Path
        The run folder.
    preview : Preview
        What `read_preview` will return.
    """
    with atomic_path(folder / PREVIEW) as temporary:
        np.savez(temporary, allow_pickle=False, **vars(preview))
