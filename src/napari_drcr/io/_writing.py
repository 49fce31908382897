"""What the writers share: values put into a file piece by piece."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import xarray as xr

from napari_drcr.cubes.cube import BLOCK_VALUES
from napari_drcr.cubes.lazy import places
from napari_drcr.system.files import atomic_path

MERGED_VALUES = 4 * BLOCK_VALUES
"""How many values of chunks that hold a few rows each are taken together where the file has the rows of a column side by side."""


def write_values(file: BinaryIO, cube: xr.DataArray, axes: tuple[int, int, int] = (0, 1, 2)) -> None:
    """Write a cube as plain numbers: float32, in the byte order of this computer.

    Parameters
    ----------
    file : binary file
        Where its position is, the first value goes.
    cube : xarray.DataArray, shape (bands, y, x)
        The cube; of a lazy one, a few chunks at a time are in memory.
    axes : tuple of three int
        Which axis of the cube is the first, second and last one in the file, where the last one runs fastest.
    """
    # Not into a memory-mapped file: on a full disk that kills Python, while this raises an error.
    start = file.tell()
    _, rows, columns = (cube.shape[axis] for axis in axes)
    for place in _places(cube, axes):
        values = np.asarray(cube[place].values, dtype=np.float32)
        bands, y, x = (place[axis] for axis in axes)
        for band, plane in enumerate(values.transpose(axes), bands.start):
            runs = [plane] if plane.shape[1] == columns else plane
            for row, run in enumerate(runs, y.start):
                file.seek(start + run.itemsize * ((band * rows + row) * columns + x.start))
                file.write(np.ascontiguousarray(run).data)


def _places(cube: xr.DataArray, axes: tuple[int, int, int]) -> list[tuple[slice, slice, slice]]:
    """Where the parts of a cube lie that make the fewest runs in a file."""
    if cube.chunks is None:
        return [(slice(band, band + 1), y, x) for band in range(len(cube)) for _, y, x in places(cube[:1])]
    if axes[2] == 1:
        bands, rows, columns = (max(sizes) for sizes in cube.chunks)
        return places(cube.chunk(y=max(rows, MERGED_VALUES // (bands * columns))))
    return places(cube)


def write_hdf5(path: Path, frame: BytesIO, name: str, cube: xr.DataArray, axes: tuple[int, int, int] = (0, 1, 2)) -> None:
    """Write an HDF5 file whose structure was made in memory, and a cube's values into it.

    HDF5 itself never sees the disk. What it could not write to one that is full stays with its objects after their file is closed,
    and crashes the process once they are collected.

    Parameters
    ----------
    path : pathlib.Path
        The file to write; replaced only once the new one is whole.
    frame : io.BytesIO
        The file without the values. It is changed.
    name : str
        The dataset in it that they are for: contiguous, float32, and nothing written to it yet.
    cube : xarray.DataArray, shape (bands, y, x)
        The cube; of a lazy one, a few chunks at a time are in memory.
    axes : tuple of three int
        Which axis of the cube is which of the dataset.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    import h5py

    with h5py.File(frame, "r+") as file:
        dataset = file[name]
        dataset[0, 0, 0] = 0  # HDF5 finds room at the first value: behind all else, since nothing was deleted.
        start = dataset.id.get_offset()
    with atomic_path(path) as temporary, temporary.open("wb") as raw:
        raw.write(frame.getbuffer()[:start])
        write_values(raw, cube, axes)
