"""Reference spectra: tables as CSV, ENVI spectral libraries, NumPy archives, and the patches of the ColorChecker."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.errors import InputError
from napari_drcr.io._reading import nanometres_in, one_sentence, sort_bands, wavelengths_in_unit
from napari_drcr.system.files import first_bytes

DELETED = -1e30
"""Values below are gaps: the USGS libraries mark channels without a value by -1.23e34."""

_NAMES = ("name", "names", "material", "materials", "spectrum", "sample", "label", "class")
_WAVELENGTH = re.compile(r"^(wavelengths?|wave|wl|lambda|\u03bb|nm|um|\u00b5m|\u03bcm)(?![a-z])", re.IGNORECASE)
_NUMBER = re.compile(r"^([0-9]+(?:\.[0-9]+)?)\s*([a-z\u00b5\u03bc]*)$", re.IGNORECASE)

_ARCHIVE_WAVELENGTHS, _ARCHIVE_PREFIX = "wavelengths_nm", "reflectances_"

Table = tuple[npt.NDArray[np.float64], list[str], npt.NDArray[np.float64], str]
"""Wavelengths as the file has them, names, values (material, wavelength), and the unit."""


@dataclass(frozen=True, eq=False)
class Library:
    """Reference spectra on common wavelengths.

    Parameters
    ----------
    name : str
        For plots, usually the file's stem.
    wavelengths : ndarray, shape (bands,), float64
        In nm, ascending.
    names : tuple of str
        One a material, each only once.
    values : ndarray, shape (materials, bands), float64
        NaN where a material has no value.

    Raises
    ------
    InputError
        Naming the first thing that is wrong.
    """

    name: str
    wavelengths: npt.NDArray[np.float64]
    names: tuple[str, ...]
    values: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        nm = self.wavelengths
        if nm.ndim != 1 or not nm.size or not np.isfinite(nm).all() or np.any(nm <= 0) or np.any(np.diff(nm) <= 0):
            raise InputError(
                f"wavelengths must be positive and ascend, in nm, but these run {np.array2string(nm, threshold=6)}."
            )
        if not self.names or self.values.shape != (len(self.names), nm.size):
            raise InputError(
                f"{len(self.names)} names and {nm.size} wavelengths do not fit values of the shape {self.values.shape}."
            )
        if twice := next((name for i, name in enumerate(self.names) if name in self.names[:i]), None):
            raise InputError(f"two of its spectra are called {twice!r}; rename one.")
        if (empty := ~np.isfinite(self.values).any(axis=1)).any():
            raise InputError(f"the spectrum {self.names[int(np.argmax(empty))]!r} holds no numbers.")

    @cached_property
    def spectra(self) -> xr.DataArray:
        """All spectra: dims ``("material", "wavelength")``, with names and nm as coordinates."""
        nm = xr.Variable("wavelength", self.wavelengths, {"units": "nm"})
        coords = {"material": list(self.names), "wavelength": nm}
        return xr.DataArray(self.values, dims=("material", "wavelength"), coords=coords, name=self.name)

    def spectrum(self, name: str) -> xr.DataArray:
        """One spectrum, at the wavelengths at which it has values.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        xarray.DataArray, shape (bands,)
            Named for the library, with the material as coordinate ``material``.

        Raises
        ------
        InputError
            If there is none of that name.
        """
        if name not in self.names:
            raise InputError(f"{self.name} has no spectrum {name!r}.")
        found = self.spectra[self.names.index(name)]
        return found[np.isfinite(found.values)]


def colorchecker() -> Library:
    """The 24 patches of the ColorChecker Classic.

    Returns
    -------
    Library
        Reflectance at 380-730 nm in steps of 10 nm, measured on 30 charts and averaged (D. Pascale, BabelColor), as tabulated by
        colour-science, which is imported on the first call only.
    """
    import colour

    patches = colour.SDS_COLOURCHECKERS["BabelColor Average"]
    nm = np.asarray(next(iter(patches.values())).wavelengths, dtype=np.float64)
    values = np.stack([np.asarray(patch.values, dtype=np.float64) for patch in patches.values()])
    return Library("ColorChecker", nm, tuple(patches), values)


def read_library_file(path: Path) -> Library:
    """Read reference spectra; see `napari_drcr.io.read_library`.

    Parameters
    ----------
    path : pathlib.Path
        A CSV file, or one of the two files of an ENVI spectral library.

    Returns
    -------
    Library
        Named for the file.

    Raises
    ------
    InputError
        Saying what is wrong, without the file's name.
    """
    head = first_bytes(path)
    header = path if head.startswith(b"ENVI") else _header_beside(path)
    wavelengths, names, values, unit = _read_csv(path) if header is None else _read_envi(header, path)
    nm, _ = wavelengths_in_unit(path, wavelengths, unit)
    if nm is None:
        raise InputError("it has no wavelengths, only numbers of bands; give them in nm.")
    by_band, sorted_nm, _ = sort_bands(path, values.T, nm)
    assert sorted_nm is not None  # nm is not either
    by_band = np.where(np.isfinite(by_band) & (by_band > DELETED), by_band, np.nan)
    return Library(path.stem, sorted_nm, tuple(names), by_band.T)


def read_archive(path: Path) -> tuple[Library, ...]:
    """Read several collections of spectra from a NumPy archive; see `napari_drcr.io.read_libraries`.

    Parameters
    ----------
    path : pathlib.Path
        An ``.npz`` file.

    Returns
    -------
    tuple of Library
        Sorted by name.

    Raises
    ------
    InputError
        Saying what is wrong, without the file's name.
    """
    with path.open("rb") as file, one_sentence(), np.load(file, allow_pickle=False) as archive:
        names = sorted(name for name in archive.files if name.startswith(_ARCHIVE_PREFIX) and name != _ARCHIVE_PREFIX)
        if _ARCHIVE_WAVELENGTHS not in archive.files or not names:
            raise InputError(
                f"it needs an array {_ARCHIVE_WAVELENGTHS}, and for each collection an array {_ARCHIVE_PREFIX}NAME."
            )
        nm = np.asarray(archive[_ARCHIVE_WAVELENGTHS], dtype=np.float64)
        tables = [np.asarray(archive[name], dtype=np.float64) for name in names]
    libraries = []
    for name, values in zip(names, tables, strict=True):
        if values.ndim != 2 or not len(values):
            raise InputError(f"its array {name} has the shape {values.shape}, but it needs (spectra, bands).")
        materials = tuple(f"{number}" for number in range(1, len(values) + 1))
        libraries.append(Library(name.removeprefix(_ARCHIVE_PREFIX), nm, materials, values))
    return tuple(libraries)


def _header_beside(path: Path) -> Path | None:
    if path.suffix.lower() == ".csv":
        return None
    names = [path.with_name(path.name + ".hdr"), path.with_suffix(".hdr"), path.with_suffix(".HDR")]
    found = next((name for name in names if name.is_file()), None)
    if found is None and path.suffix.lower() == ".sli":
        raise InputError(f"there is no ENVI header ({path.stem}.hdr) beside this spectral library.")
    return found


def _read_envi(header_path: Path, path: Path) -> Table:
    import spectral.io.envi as envi

    with one_sentence():
        header = envi.read_envi_header(str(header_path.absolute()))
        if header.get("file type", "").lower() != "envi spectral library":
            raise InputError("this is no ENVI spectral library; a cube of reference spectra is opened as a cube.")
        if "wavelength" not in header:
            raise InputError("its header gives no wavelengths; add the field 'wavelength'.")
        try:
            library: Any = envi.open(str(header_path.absolute()), None if path == header_path else str(path.absolute()))
        except envi.EnviDataFileNotFoundError:
            raise InputError(f"there is no data file ({header_path.stem}.sli) beside this header.") from None
        values = np.array(library.spectra, dtype=np.float64)
        values /= float(header.get("reflectance scale factor", 1.0))
        names = [str(name).strip() for name in library.names]
        return np.asarray(library.bands.centers, dtype=np.float64), names, values, header.get("wavelength units", "")


def _read_csv(path: Path) -> Table:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError("this is neither an ENVI spectral library nor a text file; save the table as CSV in UTF-8.") from error
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip() and not line.startswith("#")]
    if len(numbered) < 2:
        raise InputError("it holds no table of spectra: a header and at least one row are needed.")
    delimiter = next((mark for mark in "\t;" if mark in numbered[0][1]), ",")
    header, *rows = ([cell.strip() for cell in row] for row in csv.reader([line for _, line in numbered], delimiter=delimiter))
    for (number, _), row in zip(numbered[1:], rows, strict=True):
        if len(row) != len(header):
            raise InputError(f"line {number} has {len(row)} cells, but the header {len(header)}.")

    def numbers(row: int, places: list[int]) -> list[float]:
        """The cells of one row; where commas do not part them, they may be decimal."""
        cells = [rows[row][place] for place in places]
        try:
            return [float((cell if delimiter == "," else cell.replace(",", ".")) or "nan") for cell in cells]
        except ValueError as error:
            raise InputError(f"line {numbered[row + 1][0]} holds a cell that is no number ({error}).") from None

    bands = {place: match for place, cell in enumerate(header) if (match := _NUMBER.match(cell))}
    axis = next((place for place, cell in enumerate(header) if _WAVELENGTH.match(cell)), None)
    if axis is not None and _NUMBER.match(rows[0][axis].replace(",", ".")):
        places = [place for place, cell in enumerate(header) if cell and place != axis]
        wavelengths = np.array([numbers(row, [axis])[0] for row in range(len(rows))])
        if not np.isfinite(wavelengths).all():
            raise InputError(f"line {numbered[int(np.argmin(np.isfinite(wavelengths))) + 1][0]} has no wavelength.")
        values = np.array([numbers(row, places) for row in range(len(rows))]).T
        unit = next((word for word in re.findall(r"[^\W\d_]+", header[axis]) if nanometres_in(word)), "")
        return wavelengths, [header[place] for place in places], values.reshape(len(places), len(rows)), unit
    if not bands:
        raise InputError("its first line names neither a column 'wavelength' nor one wavelength, in nm, a column.")
    values = np.array([numbers(row, list(bands)) for row in range(len(rows))])
    wavelengths = np.array([float(match[1]) for match in bands.values()])
    return wavelengths, _row_names(header, rows, bands), values, next(iter(bands.values()))[2]


def _row_names(header: list[str], rows: list[list[str]], bands: dict[int, Any]) -> list[str]:
    words = {place: cell.lower() for place, cell in enumerate(header) if place not in bands}
    place = next((place for place, word in words.items() if word in _NAMES), next(iter(words), None))
    if place is None:
        raise InputError("no column names its spectra; add a column 'name'.")
    names = [row[place] for row in rows]
    if len(set(names)) < len(names) and "layer" in words.values():
        # As write_spectra_csv writes one pick in several layers.
        layer = next(place for place, word in words.items() if word == "layer")
        names = [f"{name} ({row[layer]})" for name, row in zip(names, rows, strict=True)]
    return names
