"""netCDF files: version 4 (HDF5) in and out, the classic version 3 in."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.cubes.cube import DIMS, make_cube
from napari_drcr.cubes.lazy import OpenedFile, StoredValues
from napari_drcr.errors import InputError, notify
from napari_drcr.io._hdf5 import check_hdf5
from napari_drcr.io._reading import (
    LABELS,
    attributes_as_text,
    labels_of,
    nanometres_in,
    one_sentence,
    read_values,
    sort_bands,
    wavelengths_in_unit,
)
from napari_drcr.io._writing import write_hdf5
from napari_drcr.system.files import first_bytes

CUBE_NAME = "cube"
STANDARD_NAMES = ("radiation_wavelength", "sensor_band_central_radiation_wavelength")
WAVELENGTH_NAMES = ("wavelength", "wavelengths", "lambda", "bands", "band")
"""What other tools call the wavelengths or their axis, the surest first."""

ROW_NAMES = ("y", "row", "rows", "line", "lines", "height", "lat", "latitude", "northing", "downtrack")
COLUMN_NAMES = (
    "x",
    "col",
    "cols",
    "column",
    "columns",
    "sample",
    "samples",
    "width",
    "lon",
    "longitude",
    "easting",
    "crosstrack",
)

_Variables = Mapping[Any, xr.Variable]


def is_netcdf(path: Path) -> bool:
    """Whether an HDF5 file follows the conventions of netCDF 4.

    Parameters
    ----------
    path : pathlib.Path
        An HDF5 file.

    Returns
    -------
    bool
        True if it has netCDF's signature or, from older libraries, one of its variables has named dimensions.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    with one_sentence(), h5py.File(path, "r") as file:
        return "_NCProperties" in file.attrs or any("DIMENSION_LIST" in item.attrs for item in file.values())


def read_netcdf(path: Path, lazy: bool = False) -> xr.DataArray:
    """Read a cube from a netCDF file, version 4 or 3.

    The cube is the variable ``cube``, else the only one of three axes of which one is that of the wavelengths. That axis is
    known by the variable along it: by its CF standard name, else its name (``wavelength``, ``wavelengths``, ``lambda``,
    ``bands``, ``band``), else its unit (nm or micrometres); or by its own name. The other two are y and x as their names say,
    else in the file's order, with a notice. Bands are sorted by wavelength.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    lazy : bool
        Whether to leave the values in the file. Those of version 3 are read.

    Returns
    -------
    xarray.DataArray, shape (bands, y, x), float32
        The cube. CF packing (``scale_factor``, ``add_offset``) is undone, missing values are NaN; the quantity is "unknown"
        unless our own writer stored one.

    Raises
    ------
    InputError
        If the file is damaged, holds no cube or several, or it is unclear which axis holds the bands.
    """
    head = first_bytes(path)
    if head.startswith(b"CDF\x05"):
        raise InputError("this is netCDF of the kind CDF-5, which cannot be read; convert it to netCDF 4 with nccopy -k nc4.")
    engine = "scipy" if head.startswith(b"CDF") else "h5netcdf"
    lazy = lazy and engine == "h5netcdf"
    if engine == "h5netcdf":
        check_hdf5(path)
    stored_in = OpenedFile(path)
    with ExitStack() as opened:
        # What is not left open is opened here, because scipy would leave a damaged file open.
        file = path if lazy else opened.enter_context(path.open("rb"))
        with one_sentence():
            data = opened.enter_context(xr.open_dataset(file, engine=engine, decode_times=False, cache=False))
        name, axis, vector = _find_cube(data.variables)
        variable = data.variables[name]
        order = tuple(variable.get_axis_num((axis, *_image_axes(path, name, variable, axis))))
        values = StoredValues(variable, order, variable.encoding.get("chunksizes"), file=stored_in)
        wavelengths = None if vector is None else _wavelengths(path, vector, data.variables[vector])
        values, wavelengths, _ = sort_bands(path, values, wavelengths)
        cube = make_cube(read_values(values, lazy), wavelengths, name=path.stem, **labels_of(variable.attrs))
        if lazy:
            opened.pop_all()  # xarray closes the file with the last of its variables.
        return cube


def _find_cube(variables: _Variables) -> tuple[str, str, str | None]:
    """The name of the cube, of its axis of wavelengths, and of the variable that holds these, if there is one."""
    names = [str(name) for name, variable in variables.items() if variable.ndim == 3 and _is_numeric(variable)]
    if CUBE_NAME in names:
        names = [CUBE_NAME]
    found = [(name, *axis) for name in names if (axis := _spectral_axis(variables, name)) is not None]
    if len(found) == 1:
        return found[0]
    if found:
        listing = ", ".join(name for name, *_ in found)
        raise InputError(f"several variables could be the cube ({listing}); name the one meant '{CUBE_NAME}'.")
    listing = ", ".join(f"{name} ({', '.join(map(str, variable.dims))})" for name, variable in variables.items())
    raise InputError(
        "none of its variables has three axes, real numbers, and an axis named 'wavelength' or with wavelengths in nm "
        f"(it holds {listing or 'none at all'})."
    )


def _is_numeric(variable: xr.Variable) -> bool:
    return variable.dtype.kind in "iuf" and variable.size > 0


def _spectral_axis(variables: _Variables, name: str) -> tuple[str, str | None] | None:
    """The axis that holds the bands of a variable, and the name of the variable along it that gives their wavelengths."""
    axes = variables[name].dims
    vectors = {
        str(other): vector
        for other, vector in variables.items()
        if vector.ndim == 1 and vector.dims[0] in axes and _is_numeric(vector)
    }
    signs = [
        [other for other, vector in vectors.items() if vector.attrs.get("standard_name") in STANDARD_NAMES],
        *([other for other in vectors if other.lower() == known] for known in WAVELENGTH_NAMES),
        [other for other, vector in vectors.items() if nanometres_in(_unit(vector)) in (1.0, 1000.0)],
    ]
    for found in signs:
        # A width of the bands, in nm too, may be stored with the coordinate that has the name of its axis.
        found = [other for other in found if other in axes] or found
        if len(found) > 1:
            raise InputError(
                f"it is unclear which of {', '.join(found)} are the wavelengths of '{name}'; name these 'wavelength'."
            )
        if found:
            return str(vectors[found[0]].dims[0]), found[0]
    for known in WAVELENGTH_NAMES:
        for axis in axes:
            if str(axis).lower() == known:
                return str(axis), None
    return None


def _unit(vector: xr.Variable) -> str:
    return str(vector.attrs.get("units", ""))


def _wavelengths(path: Path, name: str, vector: xr.Variable) -> npt.NDArray[np.float64] | None:
    if vector.attrs.get("standard_name") not in STANDARD_NAMES and name.lower() not in WAVELENGTH_NAMES:
        notify(f"'{name}' is taken for the wavelengths, since its unit is {_unit(vector)}.", path.name)
    with one_sentence():
        values = vector.values
    try:
        return wavelengths_in_unit(path, values, _unit(vector))[0]
    except InputError as error:
        raise InputError(f"the variable '{name}': {error}") from error


def _image_axes(path: Path, name: str, variable: xr.Variable, spectral: str) -> tuple[str, str]:
    first, second = (str(axis) for axis in variable.dims if axis != spectral)
    if first.lower() in COLUMN_NAMES or second.lower() in ROW_NAMES:
        return second, first
    if first.lower() not in ROW_NAMES and second.lower() not in COLUMN_NAMES:
        notify(f"the axes '{first}' and '{second}' of '{name}' are taken as y and x.", path.name)
    return first, second


def write_netcdf(path: Path, cube: xr.DataArray) -> None:
    """Write a cube as a netCDF 4 file with the names of the CF conventions.

    The file holds the variable ``cube`` (wavelength, y, x), uncompressed, and the coordinate ``wavelength`` with units nm and
    the standard name ``radiation_wavelength``. ``quantity``, ``scale``, ``illuminant`` and ``attributes`` (JSON) are
    attributes of ``cube``.

    Parameters
    ----------
    path : pathlib.Path
        The file to write; replaced only once the new one is whole.
    cube : xarray.DataArray, shape (bands, y, x)
        The cube; stored as float32.

    Raises
    ------
    InputError
        If the file cannot be written.

    References
    ----------
    NetCDF Climate and Forecast (CF) Metadata Conventions, https://cfconventions.org.
    """
    known = {key: cube.attrs[key] for key in LABELS if cube.attrs.get(key) is not None}
    labels = {"quantity": "unknown", "scale": 1.0, **known, "attributes": attributes_as_text(cube.attrs)}
    wavelength = {"standard_name": STANDARD_NAMES[0], "long_name": "wavelength", "units": "nm"}
    frame = BytesIO()
    with h5netcdf.File(frame, "w") as file:
        file.dimensions = dict(zip(DIMS, cube.shape, strict=True))
        file.attrs["Conventions"] = "CF-1.11"
        file.create_variable(CUBE_NAME, DIMS, np.float32).attrs.update(labels)
        nm = cube["wavelength"].values.astype(np.float64)
        file.create_variable("wavelength", ("wavelength",), data=nm).attrs.update(wavelength)
    write_hdf5(path, frame, CUBE_NAME, cube)
