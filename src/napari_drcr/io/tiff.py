"""TIFF files that hold a cube: one page for each band, or one page of many samples a pixel."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import tifffile
import xarray as xr

from napari_drcr.cubes.cube import make_cube
from napari_drcr.cubes.lazy import OpenedFile, RawValues, StoredValues
from napari_drcr.errors import InputError, notify
from napari_drcr.io._reading import (
    attributes_as_text,
    labels_of,
    nanometres_in,
    one_sentence,
    read_values,
    sort_bands,
    wavelengths_in_unit,
)
from napari_drcr.io._tiff import check_pages, check_stored
from napari_drcr.io._writing import write_values
from napari_drcr.system.files import atomic_path

MOST_COLOURS = 4
"""A page of up to this many samples a pixel is a picture: RGB with alpha, or CMYK."""

_LABEL = re.compile(r"(\d+(?:\.\d+)?) ?(nm|um|\u00b5m|\u03bcm)\b", re.IGNORECASE)


def check_holds_cube(path: Path) -> None:
    """Refuse a TIFF that is no cube, without reading its values.

    Parameters
    ----------
    path : pathlib.Path
        A TIFF file.

    Raises
    ------
    InputError
        If it is damaged, a picture, or not one series of gray pages.
    """
    with one_sentence(), tifffile.TiffFile(path) as file:
        _band_series(file)


def read_tiff(path: Path, lazy: bool = False) -> xr.DataArray:
    """Read a cube from a TIFF file: one page for each band, or one page of more than four samples a pixel.

    Wavelengths come from the JSON that our writer puts into the first page's description, else from labels of the pages
    (ImageJ) or channels (OME) that name one in nm each, which is then said. Without any, 31 bands are taken as 400-700 nm.
    Bands out of order are put in order.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    lazy : bool
        Whether to leave the values in the file. Those that are compressed, or do not lie in one piece, are read.

    Returns
    -------
    xarray.DataArray, shape (bands, y, x), float32
        The values as stored; the quantity is "unknown" unless our own writer stored one.

    Raises
    ------
    InputError
        If the file is damaged, a picture, or no stack of bands, or its wavelengths are missing or make no sense.
    """
    with one_sentence():
        file = tifffile.TiffFile(path)
    with file, one_sentence():
        series = _band_series(file)
        check_stored(file, series.nbytes, series)
        lazy = lazy and series.dataoffset is not None
        stored = _stored_values(file, series, OpenedFile(path) if lazy else None)
        description = _description(file)
        labelled = _labelled_wavelengths(file)
    labels = _labels(description)
    wavelengths = None
    if "wavelengths" in description:
        with one_sentence():
            given = np.asarray(description["wavelengths"], dtype=np.float64).ravel()
        wavelengths, _ = wavelengths_in_unit(path, given, str(description.get("wavelength_units", "")))
    elif labelled is not None and len(labelled) == len(stored):
        wavelengths = labelled
        notify(f"its wavelengths, {labelled[0]:g} to {labelled[-1]:g} nm, are taken from its labels.", path.name)
    stored, wavelengths, _ = sort_bands(path, stored, wavelengths)
    return make_cube(read_values(stored, lazy), wavelengths, name=path.stem, **labels)


def _stored_values(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, file: OpenedFile | None) -> StoredValues:
    """The values, read, or left in a file in which they lie in one piece."""
    axes, lengths = series.get_axes(False), series.get_shape(False)
    # At most one axis besides Y and X is longer than 1: the bands.
    kept = [(axis, length) for axis, length in zip(axes, lengths, strict=True) if axis in "YX" or length > 1]
    (first, planes), (second, lines), (third, columns) = [("", 1), *kept][-3:]
    shape, names = (planes, lines, columns), (first, second, third)
    rows = names.index("Y"), names.index("X")
    order = (3 - sum(rows), *rows)
    if file is None:
        return StoredValues(series.asarray().reshape(shape), order)
    assert series.dataoffset is not None
    assert series.dtype is not None
    dtype = series.dtype.newbyteorder(tiff.byteorder)
    return StoredValues(RawValues(file, series.dataoffset, shape, dtype), order, file=file)


def _band_series(file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """The pages that are the bands, known by the first page and the number of alike pages."""
    check_pages(file)
    page, series = file.pages.first, file.series[0]
    lengths = dict(zip(series.get_axes(False), series.get_shape(False), strict=True))
    further = [length for axis, length in lengths.items() if axis not in "YX" and length > 1]
    is_ours = bool(_labels(_description(file)))
    if page.samplesperpixel in range(2, MOST_COLOURS + 1) or not (further or is_ours):
        samples = "1 sample" if page.samplesperpixel == 1 else f"{page.samplesperpixel} samples"
        raise InputError(
            f"this TIFF is a picture of {samples} a pixel, not a cube; a cube has a gray page for each band, or more than "
            f"{MOST_COLOURS} samples a pixel."
        )
    if len(file.series) > 1:
        shapes = ", ".join(" x ".join(map(str, other.shape)) for other in file.series)
        raise InputError(f"this TIFF holds images of different kinds ({shapes}); save the bands alone.")
    if len(further) > 1 or not {"Y", "X"} <= lengths.keys():
        raise InputError(f"this TIFF has the axes {series.axes} ({' x '.join(map(str, series.shape))}), but a cube has three.")
    colours = tifffile.PHOTOMETRIC(page.photometric).name
    if colours != "MINISBLACK" and not (colours == "RGB" and page.samplesperpixel > MOST_COLOURS):
        raise InputError(f"the pages of this TIFF are of the kind {colours}, not gray; save them as gray (MINISBLACK).")
    if series.dtype is None or series.dtype.kind not in "iufb":
        raise InputError(f"a cube holds real numbers, but this TIFF holds {series.dtype}.")
    return series


def _description(file: tifffile.TiffFile) -> dict[str, Any]:
    """What the first page's description says, if it is JSON as our writer and tifffile write it."""
    try:
        found = json.loads(file.pages.first.description)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _labels(description: dict[str, Any]) -> dict[str, Any]:
    return labels_of({**description, "attributes": json.dumps(description.get("attributes", {}))})


def _labelled_wavelengths(file: tifffile.TiffFile) -> npt.NDArray[np.float64] | None:
    """Wavelengths in nm from the labels of ImageJ or OME; None unless each label names one."""
    labels: list[str] = (file.imagej_metadata or {}).get("Labels", [])
    if file.ome_metadata and (pixels := ElementTree.fromstring(file.ome_metadata).find(".//{*}Pixels")) is not None:
        channels = pixels.findall("{*}Channel")
        labels = [
            f"{channel.get('EmissionWavelength')} {channel.get('EmissionWavelengthUnit', 'nm')}"
            if "EmissionWavelength" in channel.attrib
            else channel.get("Name", "")
            for channel in channels
        ]
    found = [_LABEL.findall(label) for label in labels]
    if not found or any(len(wavelengths) != 1 for wavelengths in found):
        return None
    return np.array([round(float(number) * (nanometres_in(unit) or 1.0), 6) for ((number, unit),) in found])


def write_tiff(path: Path, cube: xr.DataArray) -> None:
    """Write a cube as a TIFF file of one float32 page for each band, which napari and ImageJ open as a plain stack.

    The first page's ImageDescription is a JSON object with ``wavelengths``, ``wavelength_units`` (nm), ``quantity``,
    ``scale``, ``illuminant`` and ``attributes``.

    Parameters
    ----------
    path : pathlib.Path
        The file to write; replaced only once the new one is whole.
    cube : xarray.DataArray, shape (bands, y, x)
        The cube; stored as float32. Over 4 GB the file becomes a BigTIFF.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    attrs = cube.attrs
    description = {
        "axes": "CYX",
        "wavelengths": cube["wavelength"].values.tolist(),
        "wavelength_units": "nm",
        "quantity": attrs.get("quantity", "unknown"),
        "scale": float(attrs.get("scale", 1.0)),
        "illuminant": attrs.get("illuminant"),
        "attributes": json.loads(attributes_as_text(attrs)),
    }
    with atomic_path(path) as temporary:
        # Without values the file gets room for them.
        place = tifffile.imwrite(
            temporary,
            shape=cube.shape,
            dtype=np.float32,
            photometric="minisblack",
            metadata=description,
            returnoffset=True,
        )
        assert place is not None  # since nothing is compressed
        with temporary.open("r+b") as file:
            file.seek(place[0])
            write_values(file, cube)
