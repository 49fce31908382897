"""What the writers share: values put into a file piece by piece."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import xarray as xr

from napari_drcr.lazy import pieces


def write_values(file: BinaryIO, cube: xr.DataArray) -> None:
    """Write a cube as plain numbers: float32, band after band, in the byte order of this computer.

    Parameters
    ----------
    file : binary file
        Where its position is, the first value goes.
    cube : xarray.DataArray, shape (bands, y, x)
        The cube; of a lazy one, a chunk at a time is in memory.
    """
    # Not into a memory-mapped file: on a full disk that kills Python, while this raises an error.
    start = file.tell()
    _, rows, columns = cube.shape
    for (bands, y, x), values in pieces(cube):
        for band, plane in enumerate(values, bands.start):
            runs = [plane] if plane.shape[1] == columns else plane
            for row, run in enumerate(runs, y.start):
                file.seek(start + run.itemsize * ((band * rows + row) * columns + x.start))
                file.write(np.ascontiguousarray(run).data)
