"""What the readers share: a look at the first bytes, damaged files in one sentence, wavelengths in nm, attributes as text."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_drcr.cubes.lazy import StoredValues
from napari_drcr.errors import InputError, Notice, notify

LABELS = ("quantity", "scale", "illuminant")
"""The attributes of a cube that every format stores under their own names."""

LONGEST_MICROMETRES = 100.0

_Values = TypeVar("_Values", npt.NDArray[Any], StoredValues)

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How TIFF files begin: of either byte order, classic and big."""


_reading = ContextVar("whether a file is being read here", default=False)


def _is_not_ours(_record: logging.LogRecord) -> bool:
    """Let what others make these libraries log pass."""
    return not _reading.get()


for _name in ("tifffile", "spectral"):
    logging.getLogger(_name).addFilter(_is_not_ours)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Say in one sentence what a library has to say about a damaged file, and keep what it logs to ourselves.

    Raises
    ------
    InputError
        For anything that the library raises, except for want of memory.
    """
    before = _reading.set(True)
    try:
        yield
    except (InputError, Notice, MemoryError):
        raise
    except Exception as error:  # On a damaged file these libraries raise almost anything, down to KeyError and struct.error.
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise InputError(f"the file is damaged, truncated or not what its name says ({reason}).") from error
    finally:
        _reading.reset(before)


def nanometres_in(unit: str) -> float | None:
    """How many nm a unit of length has.

    Parameters
    ----------
    unit : str
        A name or symbol, in capitals or not.

    Returns
    -------
    float or None
        None unless the unit is nm, micrometre or metre.
    """
    unit = unit.strip().lower()
    if unit == "nm" or unit.startswith("nanomet"):
        return 1.0
    if unit in ("um", "\u00b5m", "\u03bcm") or unit.startswith(("micromet", "micron")):
        return 1000.0
    return 1e9 if unit in ("m", "meter", "meters", "metre", "metres") else None


def wavelengths_in_unit(path: Path, values: npt.NDArray[Any], unit: str) -> tuple[npt.NDArray[np.float64] | None, float]:
    """Turn wavelengths into nm by the unit that a file names, or, with a notice, by their size if it names none.

    Parameters
    ----------
    path : pathlib.Path
        The file, for the notices.
    values : ndarray, shape (bands,)
        The wavelengths as the file has them.
    unit : str
        The unit; empty, "1" or "unknown" if the file names none.

    Returns
    -------
    tuple of (ndarray of float64, shape (bands,), or None, float)
        Wavelengths in nm, None if the values only count the bands; and the nm in one unit of the file.

    Raises
    ------
    InputError
        If the unit is not one of length.
    """
    factor = nanometres_in(unit)
    if factor is not None:
        return nanometres(path, values, factor), factor
    if unit.strip().lower() not in ("", "1", "unknown"):
        raise InputError(f"wavelength units {unit!r} are not known; use nanometers or micrometers.")
    wavelengths = nanometres(path, values, None)
    if wavelengths is None or not np.array_equal(wavelengths, values):
        return wavelengths, 1000.0
    notify(f"wavelengths of {values[0]:g} to {values[-1]:g} without a unit are taken as nm.", path.name)
    return wavelengths, 1.0


def sort_bands(
    path: Path, values: _Values, wavelengths: npt.NDArray[np.float64] | None
) -> tuple[_Values, npt.NDArray[np.float64] | None, npt.NDArray[np.intp]]:
    """Put bands in the order of their wavelengths, with a notice if it is not the file's.

    Parameters
    ----------
    path : pathlib.Path
        The file, for the notice.
    values : ndarray or StoredValues, shape (bands, ...)
        The bands as the file has them; stored ones are not read.
    wavelengths : ndarray or None
        In nm, as the file has them. Without them, or with another number of them, everything stays as it is.

    Returns
    -------
    tuple of (ndarray or StoredValues, ndarray or None, ndarray of int, shape (bands,))
        Values and wavelengths, sorted, and the indices that sorted them.
    """
    order = np.arange(len(values))
    if wavelengths is not None and wavelengths.size == len(values) and np.any(np.diff(wavelengths) < 0):
        order = np.argsort(wavelengths, kind="stable")
        notify("its bands are not in the order of their wavelengths and have been sorted.", path.name)
        values = replace(values, bands=order) if isinstance(values, StoredValues) else values[order]
        wavelengths = wavelengths[order]
    return values, wavelengths, order


def read_values(values: StoredValues, lazy: bool) -> Any:
    """Read the values of a cube, or see to it that they are read when they are needed.

    Parameters
    ----------
    values : StoredValues, shape (bands, y, x)
        As a file holds them.
    lazy : bool
        Whether to leave them in the file.

    Returns
    -------
    ndarray or dask.array.Array, shape (bands, y, x), float32
        An array in memory, or a lazy one.

    Raises
    ------
    InputError
        If they cannot be read.
    """
    with one_sentence():
        return values.as_dask() if lazy else values[:, :, :]


def nanometres(path: Path, values: npt.NDArray[Any], factor: float | None) -> npt.NDArray[np.float64] | None:
    """Turn the wavelengths that a file gives into nm.

    Parameters
    ----------
    path : pathlib.Path
        The file, for the notices.
    values : ndarray, shape (bands,)
        The wavelengths as the file has them.
    factor : float or None
        nm for each unit of `values`; None if the file does not say: values under 100 are then taken as micrometres.

    Returns
    -------
    ndarray of float64, shape (bands,), or None
        Wavelengths in nm; None, with a notice, if the values only count the bands.
    """
    values = np.asarray(values, dtype=np.float64).ravel()
    if factor is not None:
        return np.round(values * factor, 6)
    if values.size > 1 and values[0] in (0, 1) and np.all(np.diff(values) == 1):
        notify(f"the wavelengths only count the bands from {values[0]:g} to {values[-1]:g} and are left out.", path.name)
        return None
    if np.all(values < LONGEST_MICROMETRES):
        notify(f"wavelengths of {values[0]:g} to {values[-1]:g} without a unit are taken as micrometres.", path.name)
        return np.round(values * 1000, 6)
    return values


def labels_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what a cube knows of itself from the variables or header fields that our writers add to a file.

    Parameters
    ----------
    found : mapping
        Values by name; ``quantity``, ``scale``, ``illuminant`` and ``attributes`` (a JSON object) are looked at.

    Returns
    -------
    dict
        Keyword arguments for `make_cube`; empty if the file is not ours, so that another tool's ``scale`` is not mistaken.
    """
    if found.get("quantity") not in ("reflectance", "radiance", "unknown"):
        return {}
    try:
        return {
            "quantity": found["quantity"],
            "scale": float(found.get("scale", 1.0)),
            "illuminant": found.get("illuminant"),
            "attrs": dict(json.loads(found.get("attributes", "{}"))),
        }
    except (TypeError, ValueError) as error:
        raise InputError(f"the variables 'scale' or 'attributes' cannot be understood ({error}).") from error


def check_labels(attrs: Mapping[Hashable, Any]) -> None:
    """Reject attributes that no file format could restore.

    Parameters
    ----------
    attrs : mapping
        A cube's ``attrs``.

    Raises
    ------
    InputError
        If the illuminant is no text, ``scale`` or ``norm_factor`` no number, or the others cannot be put into JSON.
    """
    light = attrs.get("illuminant")
    if light is not None and not isinstance(light, str):
        raise InputError(f"the illuminant must be the name of a light or None, not {type(light).__name__}.")
    try:
        (light or "").encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"the illuminant's name {light!r} holds characters that are no text; choose another.") from error
    for name in ("scale", "norm_factor"):
        number = attrs.get(name, 1.0)
        if isinstance(number, np.ndarray | np.generic) and number.ndim == 0:
            number = number.item()
        unknown = name == "norm_factor" and number is None
        if not unknown and not (isinstance(number, int | float) and math.isfinite(number)):
            given = repr(number) if isinstance(number, str | float | None) else type(number).__name__
            raise InputError(f"the attribute {name!r} must be a finite number, not {given}.")
    try:
        attributes_as_text(attrs)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the cube's attributes cannot be written ({error}); remove the one meant.") from error


def attributes_as_text(attrs: Mapping[Hashable, Any]) -> str:
    """Write the further attributes of a cube, such as the model that made it, as one line of JSON.

    Parameters
    ----------
    attrs : mapping
        A cube's ``attrs``. Those stored under their own names are left out.

    Returns
    -------
    str
        A JSON object; arrays become lists, and what JSON has no form for becomes text.
    """
    further = {str(key): value for key, value in attrs.items() if key not in LABELS}
    return json.dumps(further, default=lambda value: value.tolist() if hasattr(value, "tolist") else str(value))
