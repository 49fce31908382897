"""What a sensor answers to each wavelength: tables of response curves, from CSV files and from colour-science."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_drcr.cubes.colorimetry import daylight
from napari_drcr.errors import InputError, notify, shown

COLUMNS = ("wavelength", "r", "g", "b")
CHANNELS = ("red", "green", "blue")
GRID = np.arange(300.0, 1101.0, 5.0)
"""Wavelengths in nm at which curves are looked at as a whole."""
TOLERATED_LOSS = 0.05

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Response:
    """Three response curves as a table.

    Parameters
    ----------
    name : str
        What messages call it.
    wavelengths : tuple of float
        In nm, ascending, length N.
    curves : tuple of (float, float, float)
        Red, green and blue at each wavelength, in any unit; straight lines in between, 0 outside. Negative lobes are
        allowed, as a colour matrix makes them, but white must give more than 0.
    balanced : bool
        Whether each channel is scaled so that white renders neutral; otherwise green is, and the others keep their ratio to it.
    """

    name: str
    wavelengths: tuple[float, ...]
    curves: tuple[tuple[float, float, float], ...]
    balanced: bool = True

    def at(self, wavelengths: FloatArray) -> FloatArray:
        """The curves at `wavelengths` in nm, shape (N, 3), as they are in the table."""
        columns = np.asarray(self.curves).T
        return np.stack([np.interp(wavelengths, self.wavelengths, column, 0, 0) for column in columns], axis=1)


@dataclass(frozen=True)
class StandardObserver:
    """The colour matching functions of a standard observer as response curves.

    Parameters
    ----------
    name : str
        As colour-science calls it, which is imported on first use and holds the table.
    balanced : bool
        As for `Response`.
    """

    name: str
    balanced: bool = True

    def at(self, wavelengths: FloatArray) -> FloatArray:
        """The functions at `wavelengths` in nm, shape (N, 3)."""
        import colour

        table = colour.MSDS_CMFS[self.name]
        return np.stack([np.interp(wavelengths, table.wavelengths, column, 0, 0) for column in table.values.T], axis=1)


Sensor = Response | StandardObserver


def linear_response(sensor: Sensor, wavelengths: tuple[float, ...], illuminant: str | None, lit: bool) -> FloatArray:
    """Linear RGB per unit of each band of a cube.

    Parameters
    ----------
    sensor : Response or StandardObserver
        The curves; they are read off at the centres of the bands, and weighted with the bands' distances.
    wavelengths : tuple of float
        Band centres in nm, ascending, length N.
    illuminant : "D65" or None
        The light whose white renders to 1; None is a light of equal power at all wavelengths.
    lit : bool
        Whether that light is multiplied onto the cube.

    Returns
    -------
    ndarray, shape (N, 3), float64, read-only
        A reflectance of 1, lit, gives (1, 1, 1), or 1 in green where the sensor is not balanced. So does a radiance in the
        shape of the light, where it is not lit; D65 counts as 1 at 560 nm.

    Raises
    ------
    InputError
        If a channel does not respond to any of these bands. A notice is given if they miss more than a little of it.
    """
    response, missing = _linear_response(sensor, wavelengths, illuminant, lit)
    if missing:
        notify(missing)
    return response


@cache
def _linear_response(
    sensor: Sensor, wavelengths: tuple[float, ...], illuminant: str | None, lit: bool
) -> tuple[FloatArray, str]:
    """The response, and a message for a notice, if any."""
    missing = ""
    nm = np.asarray(wavelengths)
    width = np.gradient(nm) if nm.size > 1 else np.ones(1)
    light = np.ones(nm.size) if illuminant is None else daylight(nm)
    curves = sensor.at(nm) * width[:, None]
    white = light @ curves
    if np.any(white <= 0):
        blind = CHANNELS[int(np.argmax(white <= 0))]
        raise InputError(
            f"the cube's bands of {nm[0]:g}-{nm[-1]:g} nm have no overlap with the {blind} response of {sensor.name!r}, "
            f"which lies within {_extent(sensor)}."
        )
    whole = np.abs(sensor.at(GRID)).sum()
    seen = np.abs(sensor.at(GRID[(nm[0] <= GRID) & (nm[-1] >= GRID)])).sum()
    if seen < (1 - TOLERATED_LOSS) * whole:
        missing = (
            f"Bands of {nm[0]:g}-{nm[-1]:g} nm miss part of what {sensor.name!r} responds to ({_extent(sensor)}): "
            "what lies outside counts as dark."
        )
    response = curves / (white if sensor.balanced else white[1])
    if lit:
        response = response * light[:, None]
    response.setflags(write=False)
    return np.asarray(response), missing


def _extent(sensor: Sensor) -> str:
    strongest = np.abs(sensor.at(GRID)).max(axis=1)
    within = GRID[strongest > 0.01 * strongest.max()]
    return f"{within[0]:g}-{within[-1]:g} nm" if within.size else "no range that it covers"


def read_response(path: str | Path, *, balanced: bool = True) -> Response:
    """Read response curves from a CSV file.

    Parameters
    ----------
    path : str or Path
        Columns ``wavelength`` in nm, ascending, and ``r``, ``g``, ``b``, found by their header; without a header they are taken
        in this order. Lines that begin with ``#`` are left out. Negative responses are allowed, see `Response`.
    balanced : bool
        As for `Response`.

    Returns
    -------
    Response
        Named for the file.

    Raises
    ------
    InputError
        Naming the first thing that is wrong with the file.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise InputError(f"there is no file {shown(str(path))}.")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not a text file; save the table as CSV in UTF-8.") from error
    except OSError as error:  # a name too long, or nothing we may read
        raise InputError(f"{shown(path.name)} cannot be read: {error.strerror or error}.") from error
    rows = [
        (number, [cell.strip(' \t"') for cell in line.split(",")])
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    places = _places(path.name, rows)
    values = []
    for number, cells in rows:
        try:
            values.append([float(cells[place]) for place in places])
        except (IndexError, ValueError) as error:
            raise InputError(
                f"line {number} of {path.name} does not hold the four numbers {', '.join(COLUMNS)}: {','.join(cells)!r:.60}."
            ) from error
    table = np.asarray(values)
    if len(table) < 2 or not np.isfinite(table).all():
        raise InputError(f"{path.name} needs at least two rows of finite numbers, but has {len(table)} rows.")
    nm = table[:, 0]
    if np.any(np.diff(nm) <= 0):
        row = int(np.argmax(np.diff(nm) <= 0))
        raise InputError(f"the wavelengths of {path.name} do not ascend: {nm[row + 1]:g} follows {nm[row]:g}.")
    if nm[0] < GRID[0] or nm[-1] > GRID[-1]:
        raise InputError(
            f"the wavelengths of {path.name} run {nm[0]:g}-{nm[-1]:g}, outside {GRID[0]:g}-{GRID[-1]:g}; give them in nm."
        )
    return Response(path.stem, tuple(nm.tolist()), tuple((r, g, b) for r, g, b in table[:, 1:].tolist()), balanced)


def _places(name: str, rows: list[tuple[int, list[str]]]) -> list[int]:
    """Where the four columns stand; takes the header out of `rows`."""
    if not rows:
        raise InputError(f"{name} is empty; it needs the columns {', '.join(COLUMNS)}.")
    first = [cell.lower() for cell in rows[0][1]]
    try:
        float(first[0])
    except ValueError:
        rows.pop(0)
        if missing := [column for column in COLUMNS if column not in first]:
            raise InputError(f"{name} has no column {missing[0]!r} among {', '.join(first)}.") from None
        return [first.index(column) for column in COLUMNS]
    if len(first) != len(COLUMNS):
        raise InputError(f"{name} has {len(first)} columns and no header; it needs {', '.join(COLUMNS)}.")
    return list(range(len(COLUMNS)))
