"""Cubes too large for memory: values that are read on demand."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, product
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.cubes.cube import BLOCK_VALUES
from napari_drcr.errors import ChangedFile

if TYPE_CHECKING:
    import dask.array as da


FAR_APART = 8
"""Values that are fewer than one in so many of those between them are picked from the mapped file."""


class OpenedFile:
    """An open file of values, which detects that it has been changed.

    It stays what it was where it is deleted, or another takes its name: what counts is its content, which lasts as long as this.

    Parameters
    ----------
    path : pathlib.Path
        Opened now, until nothing refers to this any more.

    Raises
    ------
    OSError
        If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._lock = Lock()
        self._raw = path.open("rb", buffering=0)
        self._state = self._state_now()

    def __del__(self) -> None:
        if hasattr(self, "_raw"):
            self._raw.close()

    @property
    def size(self) -> int:
        """How many bytes it had when it was opened."""
        return self._state[0]

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Let nothing that is read inside the ``with`` block pass unless the file is what it was, before and after.

        Raises
        ------
        ChangedFile
            Also in place of another error, which is then no wonder.
        """
        self._check()
        try:
            yield
        finally:
            self._check()

    def read(self, start: int, target: npt.NDArray[Any]) -> None:
        """Read the bytes of a whole array.

        Parameters
        ----------
        start : int
            The place of its first byte in the file.
        target : ndarray
            C-contiguous; is overwritten.

        Raises
        ------
        ChangedFile
            If the file ends before.
        """
        view = target.reshape(-1).view(np.uint8).data
        with self._lock:
            self._raw.seek(start)
            while view:
                count = self._raw.readinto(view)
                if not count:
                    raise self._changed()
                view = view[count:]

    def mapped(self, start: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """Map an array into memory.

        Parameters
        ----------
        start : int
            The place of its first byte in the file.
        shape : tuple of int
            Of the array.
        dtype : dtype
            Of its values.

        Returns
        -------
        ndarray, shape `shape`
            To be read while the file is unchanged only.
        """
        with self._lock:
            return np.memmap(self._raw, dtype, "r", start, shape)

    def _check(self) -> None:
        if self._state_now() != self._state:
            raise self._changed()

    def _state_now(self) -> tuple[int, int]:
        state = os.fstat(self._raw.fileno())
        return state.st_size, state.st_mtime_ns

    def _changed(self) -> ChangedFile:
        return ChangedFile(f"{self._name} has changed since it was opened; open it again.")


@dataclass(frozen=True, eq=False)
class RawValues:
    """An array of three axes that lies in a file as it is, the last axis closest together.

    It is read as if mapped into memory only to pick a few values that lie far apart, such as one band of a file that has them pixel
    by pixel: if a mapped file is truncated meanwhile, the system kills the reading process.

    Raises
    ------
    ValueError
        If the file is too short for it.
    """

    file: OpenedFile
    start: int
    """The place of its first byte."""
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def __post_init__(self) -> None:
        end = self.start + math.prod(self.shape) * self.dtype.itemsize
        if not 0 <= self.start <= end <= self.file.size:
            raise ValueError(f"its values should lie at the bytes {self.start} to {end} of {self.file.size}")

    @cached_property
    def _mapped(self) -> npt.NDArray[Any]:
        return self.file.mapped(self.start, self.shape, self.dtype)

    def __getitem__(self, key: tuple[slice, slice, slice]) -> npt.NDArray[Any]:
        """Read a part of the values, given by ascending slices."""
        planes, lines, columns = (range(*part.indices(length)) for part, length in zip(key, self.shape, strict=True))
        values = np.empty((len(planes), len(lines), len(columns)), self.dtype)
        if not values.size:
            return values
        length = self.shape[2]
        span = (lines[-1] - lines[0]) * length + columns[-1] - columns[0] + 1
        if span > FAR_APART * values[0].size:
            values[:] = self._mapped[key]
            return values
        for plane, target in zip(planes, values, strict=True):
            first = (plane * self.shape[1] + lines[0]) * length + columns[0]
            found = target if span == target.size else np.empty(span, self.dtype)
            self.file.read(self.start + first * self.dtype.itemsize, found)
            if found is not target:
                strides = (lines.step * length * found.itemsize, columns.step * found.itemsize)
                target[:] = np.lib.stride_tricks.as_strided(found, target.shape, strides)
        return values


@dataclass(frozen=True, eq=False)
class StoredValues:
    """An array (band, y, x) of float32 that reads and converts only the requested part, indexed by numbers, ascending slices and lists.

    napari shows one band of it without the rest. A dask array would not do there: napari has it work out whole chunks. As long as
    anything refers to it, so does it to its source, and a file stays open.
    """

    source: Any
    """Any array of three axes: `RawValues`, a dataset of HDF5 ..."""
    axes: tuple[int, ...] = (0, 1, 2)
    """Which axes of the source are band, y and x."""
    blocks: tuple[int, ...] | None = None
    """The shape of the pieces that the source is stored in, in its own order of axes."""
    bands: npt.NDArray[np.intp] | None = None
    """Which band of the source is which here, if not the same."""
    divisor: float = 1.0
    file: OpenedFile | None = None
    """The file that the source is in, if it is in one."""
    name: str = field(init=False, default_factory=lambda: f"stored-{uuid4().hex}")
    """The name of the dask array of these values."""

    dtype = np.dtype(np.float32)
    ndim = 3

    @property
    def shape(self) -> tuple[int, ...]:
        """Bands, rows and columns."""
        return tuple(int(self.source.shape[axis]) for axis in self.axes)

    @property
    def size(self) -> int:
        """How many values there are."""
        return math.prod(self.shape)

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """How long the chunks of `as_dask` are along each axis.

        Each has at most `BLOCK_VALUES`, but consists of whole stored blocks: first of all bands, then of whole rows, then of several.
        """
        chunk = [1, 1, 1] if self.blocks is None else [self.blocks[axis] for axis in self.axes]
        for axis in (0, 2, 1):
            chunk[axis] = min(self.shape[axis], chunk[axis] * max(1, BLOCK_VALUES // math.prod(chunk)))
        return tuple(_cut(length, step) for length, step in zip(self.shape, chunk, strict=True))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> npt.NDArray[np.float32]:
        """Read a part of the values.

        Raises
        ------
        ChangedFile
            If their file has been changed since it was opened.
        """
        key = key if isinstance(key, tuple) else (key,)
        key = (*key, *[slice(None)] * (3 - len(key)))
        if self.bands is not None:
            key = (self.bands[key[0]], *key[1:])
        ranges, picks = zip(*map(_range_and_pick, key, self.shape), strict=True)
        with self.file.unchanged() if self.file else nullcontext():
            stored = np.asarray(self.source[tuple(ranges[i] for i in np.argsort(self.axes))]).transpose(self.axes)
        # From the last axis on, since numbers take theirs away.
        for axis in (2, 1, 0):
            stored = stored[(slice(None),) * axis + (picks[axis],)]
        # Other sources give a new array each time; a view of this one would keep its file open, or be divided in place.
        copy = True if isinstance(self.source, np.ndarray) else None
        values = np.array(stored, dtype=np.float32, order="C", copy=copy)
        if self.divisor != 1:
            values /= np.float32(self.divisor)
        return values

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Read all values."""
        return self[:, :, :].astype(dtype or np.float32, copy=False)

    def __deepcopy__(self, memo: Any) -> StoredValues:
        # napari copies a layer's values to duplicate it; these cannot be changed, and may be larger than memory.
        return self

    def as_dask(self) -> da.Array:
        """The same values as a dask array, which computations go through chunk by chunk.

        Returns
        -------
        dask.array.Array, shape (bands, y, x), float32
            A chunk holds all bands of a few rows, so that one spectrum reads one chunk, unless the source's blocks would make
            such chunks too large.
        """
        import dask.array as da

        _by_name[self.name] = self
        meta = np.empty((0, 0, 0), dtype=self.dtype)
        return cast(da.Array, da.from_array(self, chunks=self.chunks, name=self.name, meta=meta))


_by_name: WeakValueDictionary[str, StoredValues] = WeakValueDictionary()


def _range_and_pick(part: Any, length: int) -> tuple[slice, Any]:
    """The range of an axis that a part of an index needs, and the index within this range."""
    if isinstance(part, slice):
        return part, slice(None)
    numbers = np.arange(length)[part]
    low, high = (int(numbers.min()), int(numbers.max()) + 1) if numbers.size else (0, 0)
    return slice(low, high), numbers - low


def _cut(length: int, step: int) -> tuple[int, ...]:
    return tuple(min(step, length - first) for first in range(0, length, step))


def unread(values: Any) -> Any:
    """Values of a layer in a form that `make_cube` labels without reading them.

    Parameters
    ----------
    values : array_like, shape (bands, y, x)
        Whatever napari shows.

    Returns
    -------
    array_like, shape (bands, y, x)
        Floating values in memory or memory-mapped, and dask arrays, as they are; all other real numbers as a dask array of float32.
    """
    import dask.array as da

    if isinstance(values, StoredValues):
        return values.as_dask()
    if isinstance(values, xr.DataArray) and values.chunks is not None:
        values = values.data
    kind = values.dtype.kind
    if kind not in "iubf" or isinstance(values, da.Array) or (kind == "f" and isinstance(values, np.ndarray)):
        return values
    return StoredValues(values, blocks=getattr(values, "chunks", None)).as_dask()


def to_be_shown(cube: xr.DataArray) -> Any:
    """The values of a cube in the form that napari shows a band of with the least reading.

    Parameters
    ----------
    cube : xarray.DataArray, shape (bands, y, x)
        The cube.

    Returns
    -------
    array_like, shape (bands, y, x)
        Of a lazily read cube its `StoredValues`, else ``cube.data``.
    """
    # Dask arrays of one name hold the same values.
    return _by_name.get(getattr(cube.data, "name", ""), cube.data)


def places(values: Any) -> list[tuple[slice, slice, slice]]:
    """Where the pieces of an array lie that are read at once.

    Parameters
    ----------
    values : array_like, shape (bands, y, x)
        An array, or a cube. It is not read.

    Returns
    -------
    list of tuple of three slices
        The chunks of one that has them, else a few rows each.
    """
    bands, rows, columns = values.shape
    step = max(1, BLOCK_VALUES // (bands * columns))
    sizes = getattr(values, "chunks", None) or ((bands,), _cut(rows, step), (columns,))
    edges = [[slice(end - size, end) for size, end in zip(axis, accumulate(axis), strict=True)] for axis in sizes]
    return [(band, y, x) for band, y, x in product(*edges)]


def pieces(cube: xr.DataArray) -> Iterator[tuple[tuple[slice, slice, slice], npt.NDArray[np.float32]]]:
    """Read a cube piece by piece.

    Parameters
    ----------
    cube : xarray.DataArray, shape (bands, y, x)
        The cube.

    Yields
    ------
    tuple of (tuple of three slices, ndarray of float32)
        One of its `places`, and the values there.
    """
    for place in places(cube):
        yield place, np.asarray(cube[place].values, dtype=np.float32)
