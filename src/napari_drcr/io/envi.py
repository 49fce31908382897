"""ENVI files: a text header beside a file of raw numbers."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import spectral.io.envi as envi
import xarray as xr

from napari_drcr.cubes.cube import make_cube
from napari_drcr.cubes.lazy import OpenedFile, RawValues, StoredValues
from napari_drcr.errors import InputError, notify
from napari_drcr.io._reading import (
    TIFF,
    attributes_as_text,
    labels_of,
    one_sentence,
    read_values,
    sort_bands,
    wavelengths_in_unit,
)
from napari_drcr.io._writing import write_values
from napari_drcr.system.files import atomic_paths

# Once and for good, not around each call: filters hold for all threads. Field names are read in capitals or not.
warnings.filterwarnings("ignore", "Parameters with non-lowercase names", UserWarning, r"spectral\.")

FLOAT32 = 4
"""ENVI's number for the data type."""

DATA_SUFFIXES = ("", ".img", ".dat", ".raw", ".bsq", ".bil", ".bip")

_ORDERS = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}
"""Which of band, y and x come first in the data file."""

_DATA_SUFFIX = "data suffix"
"""The field of our own headers that identifies their data file, even after both are renamed."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_OTHER_FORMATS = (_HDF5, b"MATLAB ", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"<!DOCTYPE", b"<html", *TIFF)

# JSON starts with the brace that opens a list in a header, so it is stored behind this word.
_JSON = "json "


def read_envi(path: Path, lazy: bool = False) -> xr.DataArray:
    """Read a cube from an ENVI header and its data file.

    Wavelengths may be in nm or micrometres; without a unit, values under 100 are taken as micrometres, with a notice
    what was assumed. Bands out of order are put in order. A ``reflectance scale factor`` is divided out and recorded as
    ``scale``.

    Parameters
    ----------
    path : pathlib.Path
        The header (``.hdr``) or the data file beside it.
    lazy : bool
        Whether to leave the values in the file.

    Returns
    -------
    xarray.DataArray, shape (bands, y, x), float32
        The cube; ``attrs["fwhm"]`` holds the widths of the bands in nm where the header gives them.

    Raises
    ------
    InputError
        If one of the two files is missing, damaged or of a kind that is not a cube of real numbers.
    """
    header_path, header = _header_of(path)
    wavelengths, factor = _wavelengths(header_path, header)
    values = _values(header, _data_file(path, header_path, header))
    attrs: dict[str, Any] = {}
    values, wavelengths, order = sort_bands(path, values, wavelengths)
    if "fwhm" in header and wavelengths is not None:
        widths = np.round(_numbers(header, "fwhm") * factor, 6)
        if widths.size == len(values):
            attrs["fwhm"] = widths[order].tolist()
        else:
            notify(f"its {widths.size} widths ('fwhm') do not fit {len(values)} bands and are left out.", path.name)
    known: dict[str, Any] = {
        key: _scalar(header[key]) for key in ("quantity", "scale", "illuminant", "attributes") if key in header
    }
    labels: dict[str, Any] = labels_of({**known, "attributes": known.get("attributes", _JSON + "{}").removeprefix(_JSON)})
    if "reflectance scale factor" in header:
        scale = float(_numbers(header, "reflectance scale factor")[0])
        if not scale > 0:
            raise InputError(f"the reflectance scale factor must be positive, not {scale:g}.")
        values = replace(values, divisor=scale)
        labels = {"quantity": "reflectance", **labels, "scale": scale}
    labels["attrs"] = {**attrs, **labels.get("attrs", {})}
    return make_cube(read_values(values, lazy), wavelengths, name=header_path.stem, **labels)


def find_header(path: Path) -> Path | None:
    """The ENVI header of a cube.

    Parameters
    ----------
    path : pathlib.Path
        The header itself, or the data file beside it.

    Returns
    -------
    pathlib.Path or None
        The header, known by its suffix and first word; None if there is none, or if `path` is no file of raw numbers.

    Raises
    ------
    InputError
        If the data file has two headers.
    """
    if _is_header(path):
        return path
    if not _is_raw(path):
        return None
    names = [path.with_name(path.name + suffix) for suffix in (".hdr", ".HDR")]
    if path.suffix.lower() in DATA_SUFFIXES:
        names += [path.with_suffix(suffix) for suffix in (".hdr", ".HDR")]
    found: list[Path] = []
    for name in names:
        # On some systems .hdr and .HDR are one file.
        if _is_header(name) and not any(name.samefile(other) for other in found):
            found.append(name)
    if len(found) > 1:
        raise InputError(f"it has two headers ({found[0].name}, {found[1].name}); open the one that is meant.")
    return found[0] if found else None


def header_and_data(path: Path) -> tuple[Path, Path]:
    """The two files of an ENVI cube.

    Parameters
    ----------
    path : pathlib.Path
        The header, or the data file beside it.

    Returns
    -------
    tuple of two pathlib.Path
        Header, data file.

    Raises
    ------
    InputError
        If one of them is missing or ambiguous, or the header is invalid.
    """
    header_path, header = _header_of(path)
    return header_path, _data_file(path, header_path, header)


def _is_header(path: Path) -> bool:
    if path.suffix.lower() != ".hdr" or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"ENVI"


def _is_raw(path: Path) -> bool:
    """Whether a file could hold raw numbers: not if it starts as pictures, web pages and HDF5 files do."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(1024)
    bitmap = head.startswith(b"BM") and int.from_bytes(head[2:6], "little") == path.stat().st_size
    return not (bitmap or head.startswith(_OTHER_FORMATS) or head[512:].startswith(_HDF5))


def _header_of(path: Path) -> tuple[Path, dict[str, Any]]:
    """The header's path and fields, once it is known to describe a cube of real numbers."""
    header_path = find_header(path)
    if header_path is None:
        raise InputError("there is no ENVI header (.hdr) beside this file, or it holds no raw numbers.")
    with one_sentence():
        header = envi.read_envi_header(str(header_path.absolute()))
        envi.check_compatibility(header)
    if header.get("file type", "").lower() == "envi spectral library":
        raise InputError("this is an ENVI spectral library, not an image; choose the header of a cube.")
    if header["interleave"].lower() not in _ORDERS:
        raise InputError(f"the interleave must be bsq, bil or bip, not {header['interleave']!r}.")
    if np.dtype(envi.envi_to_dtype.get(header["data type"], "O")).kind not in "iuf":
        raise InputError(f"ENVI data type {header['data type']} is not one of real numbers; save the cube as float (4).")
    return header_path, header


def _data_file(path: Path, header_path: Path, header: dict[str, Any]) -> Path:
    """The data file that the header means, whose size must be the one it promises."""
    with one_sentence():
        parameters = envi.gen_params(header)
        rows, columns, bands = parameters.nrows, parameters.ncols, parameters.nbands
        promised = parameters.offset + rows * columns * bands * np.dtype(parameters.dtype).itemsize
    found = _data_files(header_path, header)
    if path != header_path:
        if _DATA_SUFFIX in header and not any(path.samefile(file) for file in found):
            raise InputError(f"{header_path.name} belongs to {found[0].name}, not to this file; open that one.")
        found = [path]
    if len(found) > 1:
        found = [file for file in found if file.stat().st_size == promised] or found
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise InputError(f"several files could hold its data ({names}); open the one that is meant instead of the header.")
    held = found[0].stat().st_size
    if held < promised or min(rows, columns, bands) < 1:
        size = f"{rows} x {columns} pixels of {bands} bands ({promised} bytes)"
        raise InputError(f"the header promises {size}, but {found[0].name} holds {held} bytes: truncated or not its own.")
    return found[0]


def _data_files(header_path: Path, header: dict[str, Any]) -> list[Path]:
    """The files beside a header that could be its data: one if it is our own, at least one if it is not."""
    name = header_path.stem
    suffixes = [header[_DATA_SUFFIX]] if header.get(_DATA_SUFFIX) in DATA_SUFFIXES else DATA_SUFFIXES
    present: list[Path] = []
    for suffix in (*suffixes, *map(str.upper, suffixes)):
        file = header_path.with_name(name + suffix)
        if file.is_file() and not any(file.samefile(other) for other in present):
            present.append(file)
    if not present:
        wanted = f"{name}.img, .dat, .raw, .bsq, .bil, .bip or {name}" if len(suffixes) > 1 else f"{name}{suffixes[0]}"
        raise InputError(f"there is no data file ({wanted}) beside {header_path.name}.")
    raw = [file for file in present if _is_raw(file)]
    if not raw:
        raise InputError(
            f"{present[0].name} beside {header_path.name} is a picture, a web page or HDF5, not a file of raw numbers."
        )
    return raw


def _values(header: dict[str, Any], data_path: Path) -> StoredValues:
    file = OpenedFile(data_path)
    order = _ORDERS[header["interleave"].lower()]
    with one_sentence():
        parameters = envi.gen_params(header)
        lengths = (parameters.nbands, parameters.nrows, parameters.ncols)
        shape = (lengths[order[0]], lengths[order[1]], lengths[order[2]])
        source = RawValues(file, parameters.offset, shape, np.dtype(parameters.dtype))
    return StoredValues(source, (order.index(0), order.index(1), order.index(2)), file=file)


def _wavelengths(path: Path, header: dict[str, Any]) -> tuple[npt.NDArray[np.float64] | None, float]:
    """The wavelengths in nm, and the nm in one unit of the header."""
    unit = header.get("wavelength units", "").strip().lower()
    if "wavelength" not in header or unit == "index":
        return None, 1.0
    return wavelengths_in_unit(path, _numbers(header, "wavelength"), unit)


def _numbers(header: dict[str, Any], key: str) -> npt.NDArray[np.float64]:
    """A header field as numbers; a single one may come without braces."""
    texts = [header[key]] if isinstance(header[key], str) else header[key]
    try:
        return np.array([float(text) for text in texts if text])
    except ValueError as error:
        raise InputError(f"the header's {key!r} should hold numbers ({error}).") from error


def _scalar(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def write_envi(path: Path, cube: xr.DataArray) -> None:
    """Write a cube as an ENVI header and a data file of the same name with the suffix ``.img`` (float32, bsq).

    Parameters
    ----------
    path : pathlib.Path
        The header to write, ending in ``.hdr``. Both files are replaced only once the new ones are whole.
    cube : xarray.DataArray, shape (bands, y, x)
        The cube; stored as float32. ``quantity``, ``scale``, ``illuminant`` and ``attributes`` (JSON) become header fields.

    Raises
    ------
    InputError
        If the files cannot be written, the illuminant's name is not plain ASCII, or a file with the data's name is there that is not
        the data of the header to be replaced.

    Notes
    -----
    Raw numbers do not show which header they belong to, so an old file is never left with a new one: the old header is
    put aside first, and the new one is put in its place last. Whatever ends the process in between leaves no header, which is
    refused when it is read. If either file cannot be replaced, the old pair is put back.
    """
    bands, rows, columns = cube.shape
    attrs = dict(cube.attrs)
    header = {
        "samples": columns,
        "lines": rows,
        "bands": bands,
        "header offset": 0,
        "file type": "ENVI Standard",
        "data type": FLOAT32,
        "interleave": "bsq",
        "byte order": int(sys.byteorder == "big"),
        _DATA_SUFFIX: ".img",
        "wavelength units": "Nanometers",
        "wavelength": cube["wavelength"].values.tolist(),
        "quantity": attrs.get("quantity", "unknown"),
        "scale": repr(float(attrs.get("scale", 1.0))),
    }
    if light := attrs.get("illuminant"):
        # A line of a header is one field in whatever encoding the reader's computer has.
        if not (light.isascii() and light.isprintable()) or "{" in light:
            raise InputError(
                f"{path.name}: the illuminant's name must be plain ASCII to go into an ENVI header, not {light!r}."
            )
        header["illuminant"] = light
    widths = attrs.get("fwhm")
    if isinstance(widths, list) and len(widths) == bands and all(isinstance(width, int | float) for width in widths):
        header["fwhm"] = attrs.pop("fwhm")
    header["attributes"] = _JSON + attributes_as_text(attrs)
    data_path = path.with_suffix(".img")
    with atomic_paths(path, data_path) as (header_file, data_file):
        if data_path.exists() and not _describes(path, data_path):
            raise InputError(
                f"{path.name} cannot be written: its data would replace {data_path.name}, which is not the data of a cube "
                f"{path.name}; choose another name, or move {data_path.name} away."
            )
        with data_file.open("wb") as file:
            write_values(file, cube)
        header_file.write_text("ENVI\n" + "".join(map(_line, header.items())), encoding="utf-8", newline="\n")
        header_and_data(header_file)  # raises if they do not fit


def _line(field: tuple[str, Any]) -> str:
    # Not spectral's: on a full disk it leaves the file open.
    key, value = field
    return f"{key} = {{ {' , '.join(map(str, value))} }}\n" if isinstance(value, list) else f"{key} = {value}\n"


def _describes(header_path: Path, data_path: Path) -> bool:
    """Whether a header is there and means this data file."""
    try:
        return _is_header(header_path) and header_and_data(header_path)[1].samefile(data_path)
    except InputError:
        return False
