"""ENVI files: a text header beside a file of raw numbers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import spectral.io.envi as envi
import xarray as xr

from napari_drcr.cube import make_cube
from napari_drcr.errors import InputError
from napari_drcr.files import atomic_path
from napari_drcr.io._reading import attributes_as_text, labels_of, one_sentence, sort_bands, wavelengths_in_unit

FLOAT32 = 4
"""ENVI's number for the data type."""

# JSON starts with the brace that opens a list in a header, so it is stored behind this word.
_JSON = "json "


def read_envi(path: Path) -> xr.DataArray:
    """Read a cube from an ENVI header and its data file.

    Wavelengths may be in nm or micrometres; without a unit, values under 100 are taken as micrometres, and the caller is told
    what was assumed. Bands out of order are put in order. A ``reflectance scale factor`` is divided out and recorded as
    ``scale``.

    Parameters
    ----------
    path : pathlib.Path
        The header (``.hdr``) or the data file beside it.

    Returns
    -------
    xarray.DataArray, shape (bands, y, x), float32
        The cube; ``attrs["fwhm"]`` holds the widths of the bands in nm where the header gives them.

    Raises
    ------
    InputError
        If one of the two files is missing, damaged or of a kind that is not a cube of real numbers.
    """
    header_path = find_header(path)
    if header_path is None:
        raise InputError("there is no ENVI header (.hdr) beside this file.")
    with one_sentence():
        header = envi.read_envi_header(str(header_path.resolve()))
        envi.check_compatibility(header)
    _check_kind(header)
    wavelengths, factor = _wavelengths(header_path, header)
    values = _values(header_path, None if path == header_path else path, header)
    attrs: dict[str, Any] = {}
    if "fwhm" in header and wavelengths is not None:
        attrs["fwhm"] = [round(width * factor, 6) for width in _numbers(header, "fwhm").tolist()]
    values, wavelengths, order = sort_bands(path, values, wavelengths)
    attrs = {key: [widths[band] for band in order] for key, widths in attrs.items() if len(widths) == len(order)}
    known = {key: _scalar(header[key]) for key in ("quantity", "scale", "illuminant", "attributes") if key in header}
    labels: dict[str, Any] = labels_of({**known, "attributes": known.get("attributes", _JSON + "{}").removeprefix(_JSON)})
    if "reflectance scale factor" in header:
        scale = float(_numbers(header, "reflectance scale factor")[0])
        if not scale > 0:
            raise InputError(f"the reflectance scale factor must be positive, not {scale:g}.")
        values /= np.float32(scale)
        labels = {"quantity": "reflectance", **labels, "scale": scale}
    return make_cube(values, wavelengths, name=header_path.stem, **{**labels, "attrs": {**attrs, **labels.get("attrs", {})}})


def find_header(path: Path) -> Path | None:
    """The ENVI header of a cube.

    Parameters
    ----------
    path : pathlib.Path
        The header itself, or the data file beside it.

    Returns
    -------
    pathlib.Path or None
        The header, known by its first word; None if there is none.
    """
    for candidate in (path, path.with_name(path.name + ".hdr"), path.with_suffix(".hdr"), path.with_suffix(".HDR")):
        if candidate.is_file():
            with candidate.open("rb") as file:
                if file.read(4) == b"ENVI":
                    return candidate
    return None


def _check_kind(header: dict[str, Any]) -> None:
    if header.get("file type", "").lower() == "envi spectral library":
        raise InputError("this is an ENVI spectral library, not an image; choose the header of a cube.")
    if header["interleave"].lower() not in ("bsq", "bil", "bip"):
        raise InputError(f"the interleave must be bsq, bil or bip, not {header['interleave']!r}.")
    if np.dtype(envi.envi_to_dtype.get(header["data type"], "O")).kind not in "iuf":
        raise InputError(f"ENVI data type {header['data type']} is not one of real numbers; save the cube as float (4).")


def _values(header_path: Path, data_path: Path | None, header: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Read the data file: (bands, y, x)."""
    with one_sentence():
        try:
            image = envi.open(str(header_path.resolve()), None if data_path is None else str(data_path.resolve()))
        except envi.EnviDataFileNotFoundError as error:
            name = header_path.stem
            raise InputError(f"there is no data file ({name}.img, .dat, .raw, .bsq or {name}) beside {name}.hdr.") from error
        data_path = Path(image.filename)
        rows, columns, bands = image.shape
        promised = image.offset + rows * columns * bands * image.sample_size
        held = data_path.stat().st_size
    if held < promised or min(image.shape) < 1:
        size = f"{rows} x {columns} pixels of {bands} bands ({promised} bytes)"
        raise InputError(f"the header promises {size}, but {data_path.name} holds {held} bytes: truncated or not its own.")
    with one_sentence():
        # A copy, so that the file is not left open.
        return np.array(image.open_memmap(interleave="bsq"), dtype=np.float32, order="C")


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
        If the files cannot be written, or the illuminant's name is not plain ASCII.
    """
    values = np.ascontiguousarray(cube.values, dtype=np.float32)
    attrs = dict(cube.attrs)
    header = {
        "samples": values.shape[2],
        "lines": values.shape[1],
        "bands": values.shape[0],
        "header offset": 0,
        "data type": FLOAT32,
        "interleave": "bsq",
        "byte order": int(sys.byteorder == "big"),
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
    if isinstance(attrs.get("fwhm"), list) and len(attrs["fwhm"]) == len(values):
        header["fwhm"] = attrs.pop("fwhm")
    header["attributes"] = _JSON + attributes_as_text(attrs)
    with atomic_path(path) as header_file, atomic_path(path.with_suffix(".img")) as data_file:
        values.tofile(data_file)
        envi.write_envi_header(str(header_file), header)
