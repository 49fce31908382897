"""MATLAB files: version 7.3 (HDF5) in and out, version 5 in.

MATLAB's arrays are column-major, so HDF5 shows their axes reversed: a cube of H x W x bands in MATLAB is (bands, W, H) here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.cubes.lazy import OpenedFile, StoredValues
from napari_drcr.errors import InputError, notify
from napari_drcr.io import _matlab5
from napari_drcr.io._hdf5 import check_hdf5
from napari_drcr.io._matlab5 import NUMERIC_CLASSES
from napari_drcr.io._reading import attributes_as_text, labels_of, nanometres, one_sentence, read_values, sort_bands
from napari_drcr.io._writing import write_hdf5
from napari_drcr.system.files import first_bytes

CUBE_NAMES = ("cube", "rad")
WAVELENGTH_NAMES = ("bands", "wavelengths", "wavelength")
MATLAB_5 = b"MATLAB 5.0"
USER_BLOCK = 512
ICVL_MAXIMUM = 4095.0

_CLASS = "MATLAB_class"

# For each place of the band axis, the usual one first: the order that gives (band, y, x), and the file's axes in words.
_AS_MATLAB_5 = {2: ((2, 0, 1), "(y, x, band)"), 0: ((0, 1, 2), "(band, y, x)")}
_AS_MATLAB_73 = {0: ((0, 2, 1), "(y, x, band)"), 2: ((2, 1, 0), "(band, y, x)")}
_AS_PLAIN_HDF5 = {0: ((0, 2, 1), "(band, x, y)"), 2: ((2, 0, 1), "(y, x, band)")}


@dataclass(frozen=True)
class _Variable:
    """One variable of a file, not read yet."""

    shape: tuple[int, ...]
    kind: str
    """MATLAB's class, or "complex", "logical" or "empty"."""
    layouts: Mapping[int, tuple[tuple[int, int, int], str]]
    load: Callable[[], Any]
    dataset: Any = None
    """What the values can be read from piece by piece; None in version 5."""

    @property
    def may_be_cube(self) -> bool:
        return len(self.shape) == 3 and self.kind in NUMERIC_CLASSES

    @property
    def is_vector(self) -> bool:
        return self.kind in NUMERIC_CLASSES and max(self.shape, default=1) == math.prod(self.shape) > 1

    def __str__(self) -> str:
        return f"{' x '.join(map(str, self.shape))} {self.kind}".strip()


def read_matlab(path: Path, lazy: bool = False) -> xr.DataArray:
    """Read a cube from a MATLAB file, version 7.3 (or any HDF5 file) or 5.

    The cube is the variable ``cube`` or ``rad``, else the only real numeric variable of three axes. Its band axis is the one
    as long as ``bands`` (or ``wavelengths``, ``wavelength``, in nm), else the one of 31. Where MATLAB wrote the file,
    H x W x bands is the usual order and bands x H x W is accepted. In HDF5 without MATLAB's marks, (bands, W, H) is taken as
    the order if the band axis comes first, as in the ARAD files, and (H, W, bands) if it comes last. An ICVL ``rad`` of
    12-bit counts is divided by 4095.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    lazy : bool
        Whether to leave the values in the file. Those of version 5 are read, and so is a ``rad`` that only its values tell from
        12-bit counts.

    Returns
    -------
    xarray.DataArray, shape (bands, y, x), float32
        The cube. ``norm_factor`` is kept in ``attrs``; the quantity is "unknown" unless our own writer stored one.

    Raises
    ------
    InputError
        If the file is damaged, holds no cube or several, or its axes are ambiguous.
    """
    if first_bytes(path).startswith(MATLAB_5):
        with path.open("rb") as raw:
            with one_sentence():
                variables = {
                    found.name: _Variable(found.shape, found.kind, _AS_MATLAB_5, found.load)
                    for found in _matlab5.variables(raw)
                }
            return _cube_from(path, variables, lazy=False, file=None)
    check_hdf5(path, _CLASS)
    stored_in = OpenedFile(path)
    with ExitStack() as opened:
        with one_sentence():
            file = opened.enter_context(h5py.File(path, "r"))
            variables = {name: _hdf5_variable(item) for name, item in file.items() if name != "#refs#"}
        cube = _cube_from(path, variables, lazy, stored_in)
        if cube.chunks:
            opened.pop_all()  # h5py closes the file with the last of its datasets.
        return cube


def _cube_from(path: Path, variables: Mapping[str, _Variable], lazy: bool, file: OpenedFile | None) -> xr.DataArray:
    name = _cube_name(path, variables)
    given = _given_wavelengths(path, variables)
    order, wavelengths = _axes(path, name, variables[name], given)
    variable = variables[name]
    with one_sentence():
        stored = (
            StoredValues(variable.load(), order)
            if variable.dataset is None
            else StoredValues(variable.dataset, order, variable.dataset.chunks, file=file)
        )
        known = {key: _scalar(variables[key]) for key in ("quantity", "scale", "illuminant", "attributes") if key in variables}
        norm_factor = _scalar(variables["norm_factor"]) if "norm_factor" in variables else None
    stored, wavelengths, _ = sort_bands(path, stored, wavelengths)
    labels = labels_of(known)
    may_be_counts = not labels and name == "rad"
    values = read_values(stored, lazy and not may_be_counts)
    if may_be_counts and 1 < (maximum := float(values.max())) <= ICVL_MAXIMUM:
        notify(f"'rad' reaches {maximum:g}, so it is taken as 12-bit counts and divided by {ICVL_MAXIMUM:g}.", path.name)
        values /= np.float32(ICVL_MAXIMUM)
        labels["scale"] = ICVL_MAXIMUM
    if isinstance(norm_factor, float):
        labels["attrs"] = {**labels.get("attrs", {}), "norm_factor": norm_factor}
    return make_cube(values, wavelengths, name=path.stem, **labels)


def _cube_name(path: Path, variables: Mapping[str, _Variable]) -> str:
    for name in CUBE_NAMES:
        if name in variables:
            if not variables[name].may_be_cube:
                raise InputError(f"'{name}' should be a cube of three axes of real numbers, but it is {variables[name]}.")
            return name
    found = [name for name, variable in variables.items() if variable.may_be_cube]
    if len(found) == 1:
        notify(f"the cube is taken from '{found[0]}', its only variable of three axes.", path.name)
        return found[0]
    if found:
        raise InputError(f"several variables could be the cube ({', '.join(found)}); name the one meant 'cube'.")
    listing = ", ".join(f"{name}: {variable}" for name, variable in variables.items()) or "none at all"
    raise InputError(f"none of its variables is a cube of three axes of real numbers ({listing}).")


def _given_wavelengths(path: Path, variables: Mapping[str, _Variable]) -> npt.NDArray[np.float64] | None:
    for name in WAVELENGTH_NAMES:
        variable = variables.get(name)
        if variable is not None and variable.is_vector:
            with one_sentence():
                values = variable.load()
            return nanometres(path, values, None)
    return None


def _axes(
    path: Path, name: str, variable: _Variable, given: npt.NDArray[np.float64] | None
) -> tuple[tuple[int, int, int], npt.NDArray[np.float64] | None]:
    """Which order of the axes gives (band, y, x), and the wavelengths if they fit it."""
    size = " x ".join(map(str, variable.shape))
    wavelengths = given if given is not None and given.size in variable.shape else None
    bands = len(WAVELENGTHS) if wavelengths is None else wavelengths.size
    fitting = [axis for axis in variable.layouts if variable.shape[axis] == bands]
    if not fitting:
        known = "no wavelengths are given" if given is None else f"{given.size} wavelengths are given"
        raise InputError(
            f"it is unclear which axis of '{name}' ({size}) holds the bands: {known}, and neither the first nor the last axis "
            f"is {bands} long; store one wavelength in nm for each band as 'bands'."
        )
    if given is not None and wavelengths is None:
        notify(f"its {given.size} wavelengths fit no axis of '{name}' ({size}) and are left out.", path.name)
    order, words = variable.layouts[fitting[0]]
    if variable.shape.count(bands) > 1:
        notify(f"several axes of '{name}' ({size}) are {bands} long; they are taken as {words}.", path.name)
    elif variable.layouts is _AS_PLAIN_HDF5:
        # Without the file's name, so that a folder full of such files gives the notice once.
        notify(f"HDF5 files without MATLAB's marks do not state the order of their axes; their axes are taken as {words}.")
    elif fitting[0] != next(iter(variable.layouts)):
        notify(f"the axes of '{name}' ({size}) are taken as {words}.", path.name)
    return order, wavelengths


def _scalar(variable: _Variable) -> str | float | None:
    """A text or a single number; None for anything else."""
    if variable.kind == "char":
        return str(variable.load())
    if variable.kind in NUMERIC_CLASSES and math.prod(variable.shape) == 1:
        return float(np.ravel(variable.load())[0])
    return None


def _hdf5_variable(item: Any) -> _Variable:
    kind = item.attrs.get(_CLASS, b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if isinstance(item, h5py.Group):
        return _Variable((), kind or "struct", {}, lambda: None)
    layouts = _AS_MATLAB_73 if kind else _AS_PLAIN_HDF5
    if "MATLAB_empty" in item.attrs or item.size in (0, None):
        return _Variable((), "empty", {}, lambda: None)
    if item.dtype.names is not None:
        return _Variable(item.shape, "complex", {}, lambda: None)
    if kind == "char" and not item.dtype.hasobject:
        return _Variable(item.shape, kind, {}, lambda: item[...].T.ravel().astype("<u2").tobytes().decode("utf-16-le"))
    if item.dtype.hasobject:
        return _Variable(item.shape, kind if kind == "cell" else item.dtype.name, {}, lambda: None)
    if not kind:
        kind = {"float32": "single", "float64": "double", "float16": "single"}.get(item.dtype.name, item.dtype.name)
    return _Variable(item.shape, kind, layouts, lambda: item[...], item)


def write_matlab(path: Path, cube: xr.DataArray) -> None:
    """Write a cube as a MATLAB v7.3 file that MATLAB's ``load`` and this package read.

    In MATLAB, ``cube`` is H x W x bands (single), ``bands`` 1 x bands in nm, ``quantity``, ``illuminant`` and ``attributes``
    (JSON) are text, ``scale`` and, where known, ``norm_factor`` are numbers.

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

    Notes
    -----
    A v7.3 file is HDF5 behind a user block of 512 bytes with MATLAB's text header, version and byte-order mark, each variable
    with the attribute ``MATLAB_class`` (MAT-File Format, The MathWorks; the header as in the version 5 format).
    """
    attrs = dict(cube.attrs)
    norm_factor = attrs.pop("norm_factor", None)
    bands, rows, columns = cube.shape
    frame = BytesIO()
    with h5py.File(frame, "w", userblock_size=USER_BLOCK) as file:
        _put(file, "cube", None, "single", shape=(bands, columns, rows), dtype=np.float32)
        _put(file, "bands", cube["wavelength"].values.astype(np.float64)[:, None], "double")
        _put(file, "scale", np.array([[attrs.get("scale", 1.0)]], dtype=np.float64), "double")
        if norm_factor is not None:
            _put(file, "norm_factor", np.array([[norm_factor]], dtype=np.float64), "double")
        texts = {"quantity": attrs.get("quantity", "unknown"), "illuminant": attrs.get("illuminant")}
        for name, text in {**texts, "attributes": attributes_as_text(attrs)}.items():
            if text:
                _put(file, name, np.frombuffer(text.encode("utf-16-le"), dtype="<u2")[:, None], "char")
    frame.seek(0)
    frame.write(_header())
    write_hdf5(path, frame, "cube", cube, (0, 2, 1))


def _put(file: Any, name: str, values: npt.NDArray[Any] | None, kind: str, **layout: Any) -> Any:
    dataset = file.create_dataset(name, data=values, **layout)
    dataset.attrs[_CLASS] = np.bytes_(kind)
    if kind == "char":
        dataset.attrs["MATLAB_int_decode"] = np.int32(2)
    return dataset


def _header() -> bytes:
    """MATLAB's 128 bytes: 116 of text, 8 for a subsystem that is not used, version 0x0200, and "IM" for little-endian."""
    text = f"MATLAB 7.3 MAT-file, Platform: napari-drcr, Created on: {time.asctime()} HDF5 schema 1.00 ."
    return text.encode("ascii").ljust(116) + bytes(8) + (0x0200).to_bytes(2, "little") + b"IM"
