"""From spectra that were read to what the dock Spectrum shows: curves, relative errors and scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import xarray as xr

from napari_drcr.analysis.spectra import Comparison, Scaling, compare, match_scale, scaled
from napari_drcr.errors import InputError
from napari_drcr.widgets.plot import Curve, LineStyle
from napari_drcr.widgets.spectrum.curve_table import CurveRow
from napari_drcr.widgets.spectrum.reader import Key, Place, Reading
from napari_drcr.widgets.spectrum.reference_choice import Overlay

if TYPE_CHECKING:
    from napari.layers import Image

REFERENCE_STYLE: LineStyle = (0, (1, 1.2))
VALUE_LABELS = {"raw": "{}", "maximum": "{} / its maximum", "area": "{} / its area (1/nm)"}


@dataclass(frozen=True)
class Settings:
    """How curves are drawn and compared."""

    scaling: Scaling = "raw"
    floor: float | None = 0.01
    match: bool = False
    """Whether each estimate is multiplied by the factor that fits the truth best."""


@dataclass
class Drawing:
    """What is shown."""

    curves: list[Curve] = field(default_factory=list)
    errors: list[Curve] = field(default_factory=list)
    rows: list[CurveRow] = field(default_factory=list)
    spectra: list[tuple[str, xr.DataArray]] = field(default_factory=list)
    """Names and values, as they are in the cubes, for a file."""
    common_range: tuple[float, float] | None = None
    complaints: list[str] = field(default_factory=list)
    """Why something is not shown."""


class CurveMaker:
    """Makes drawings, and compares no two spectra twice."""

    def __init__(self) -> None:
        self._compared: dict[tuple[int, int, float | None, bool], tuple[Reading, Reading, Comparison, float | None]] = {}

    def draw(
        self,
        places: Sequence[Place],
        readings: Mapping[tuple[Image, Key], Reading],
        styles: Mapping[Image, LineStyle],
        truth: Image | None,
        settings: Settings,
        highlighted: str | None = None,
    ) -> Drawing:
        """Make the drawing of places in cubes, whose line styles are given in their order, from what was read so far.

        The `truth` is what the other cubes are compared with, if there is one; the place named `highlighted` is drawn thick.
        """
        drawing = Drawing()
        used = {}
        for place in places:
            exact = readings.get((truth, place.where)) if truth is not None else None
            for layer, style in styles.items():
                reading = readings.get((layer, place.where))
                if reading is None:
                    continue
                name, thick = f"{place.name}, {layer.name}", place.name == highlighted
                comparison = factor = None
                if exact is not None and layer is not truth:
                    key = (id(exact), id(reading), settings.floor, settings.match)
                    try:
                        used[key] = self._compared.get(key) or (exact, reading, *_compare(exact, reading, settings))
                        comparison, factor = used[key][2:]
                    except InputError as error:
                        drawing.complaints.append(f"{name}: {error}")
                drawing.spectra += _spectra(place, reading)
                try:
                    drawing.curves.append(_curve(reading, factor or 1.0, settings.scaling, place, style, name, thick))
                except InputError as error:
                    drawing.complaints.append(f"{name}: {error}")
                if comparison is not None:
                    drawing.common_range = comparison.common_range
                    relative = comparison.relative_error
                    nm = relative["wavelength"].values
                    drawing.errors.append(Curve(nm, relative.values, place.colour, style, name, thick=thick))
                if layer is not truth or len(styles) == 1:
                    drawing.rows.append(CurveRow(place, layer, comparison, factor))
        self._compared = used
        return drawing


def reference_curves(overlays: Iterable[Overlay], scaling: Scaling) -> tuple[list[Curve], list[str]]:
    """Curves of reference spectra, and sentences that say why others cannot be drawn."""
    curves, complaints = [], []
    for name, colour, spectrum in overlays:
        try:
            values = scaled(spectrum, scaling).values
        except InputError as error:
            complaints.append(f"{name}: {error}")
        else:
            curves.append(Curve(spectrum["wavelength"].values, values, colour, REFERENCE_STYLE, name))
    return curves, complaints


def value_label(cubes: Sequence[xr.DataArray], scaling: Scaling) -> str:
    """Label of the axis of values of the cubes that are drawn."""
    quantities = {str(cube.attrs.get("quantity", "unknown")) for cube in cubes}
    quantity = quantities.pop() if len(quantities) == 1 else "unknown"
    return VALUE_LABELS[scaling].format("value" if quantity == "unknown" else quantity)


def _compare(exact: Reading, reading: Reading, settings: Settings) -> tuple[Comparison, float | None]:
    truth, estimate = _bare(exact.centre), _bare(reading.centre)
    factor = match_scale(truth, estimate) if settings.match else None
    if factor is not None:
        estimate = estimate.copy(data=estimate.values * factor)
    return compare(truth, estimate, settings.floor), factor


def _bare(curve: xr.DataArray) -> xr.DataArray:
    """The curve without what its cube says it holds: the dock compares that once, and not for every curve."""
    bare = curve.copy(deep=False)
    bare.attrs = {"fwhm": curve.attrs["fwhm"]} if "fwhm" in curve.attrs else {}
    return bare


def _curve(reading: Reading, factor: float, scaling: Scaling, place: Place, style: LineStyle, name: str, thick: bool) -> Curve:
    lines = [None if line is None else scaled(line, scaling, like=reading.centre) for line in reading]
    # What a curve was multiplied with is divided out again by its maximum or area.
    centre, low, high = (None if line is None else line.values * (factor if scaling == "raw" else 1.0) for line in lines)
    assert centre is not None
    return Curve(reading.centre["wavelength"].values, centre, place.colour, style, name, low, high, thick)


def _spectra(place: Place, reading: Reading) -> list[tuple[str, xr.DataArray]]:
    if reading.low is None or reading.high is None:
        return [(place.name, reading.centre)]
    low, centre, high = ("lower quartile", "median", "upper quartile")
    if reading.centre.attrs.get("statistic") == "mean":
        low, centre, high = ("mean - standard deviation", "mean", "mean + standard deviation")
    parts = zip((low, centre, high), (reading.low, reading.centre, reading.high), strict=True)
    return [(f"{place.name} ({part})", curve) for part, curve in parts]
