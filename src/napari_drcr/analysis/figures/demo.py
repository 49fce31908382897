"""The demo's figure: an RGB image, true and recovered spectra, bands, and where the estimate is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.analysis.figures._page import INK, NO_ERROR, QUIET, as_picture
from napari_drcr.analysis.metrics import error_curve, error_map, metric_name, mrae, psnr, rmse, sam
from napari_drcr.cubes.cube import align
from napari_drcr.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (12.0, 7.85)
"""Width and height in inches."""
# Okabe and Ito's palette without its yellow, which is too light for lines: distinguishable with any colour vision.
COLOURS = ("#E69F00", "#0072B2", "#CC79A7", "#009E73", "#D55E00", "#56B4E9", "#000000")
SHOWN_BANDS = (450.0, 550.0, 650.0)


def demo_figure(
    rgb: npt.NDArray[Any],
    truth: xr.DataArray,
    estimate: xr.DataArray,
    pixels: Mapping[str, tuple[int, int]],
    *,
    floor: float | None,
    title: str,
    caption: str,
) -> Figure:
    """An estimate next to the truth, on one page of 12 x 7.85 inches.

    Parameters
    ----------
    rgb : ndarray, shape (y, x, 3)
        The image that the estimate was made from, as matplotlib shows it: uint8, or floating in [0, 1].
    truth, estimate : xarray.DataArray, shape (bands, y, x)
        Cubes of the same scene; put on common bands first where they differ.
    pixels : mapping of str to (int, int)
        Name to row and column (y, x) of the pixels whose spectra are drawn; at most 7.
    floor : float or None
        Of the MRAE; named wherever the figure shows one.
    title : str
        Heading, one line.
    caption : str
        What the reader must know not to be misled, one line at the bottom.

    Returns
    -------
    matplotlib.figure.Figure
        Drawn without pyplot, so no screen is needed. `napari_drcr.analysis.figures.save_figure` writes it.

    Raises
    ------
    InputError
        If there are too many pixels or one lies outside the image, or if the cubes cannot be compared.
    """
    from matplotlib.figure import Figure

    truth, estimate = align(truth, estimate)
    _check_pixels(pixels, truth)
    error = metric_name("mrae", floor)
    figure = Figure(figsize=SIZE, dpi=150, facecolor="white")
    figure.text(0.35 / SIZE[0], 1 - 0.38 / SIZE[1], title, size=17, weight="bold", color=INK, va="center")
    scores = (
        f"{error} {mrae(truth, estimate, floor):.3f}     RMSE {rmse(truth, estimate):.3f}     "
        f"SAM {sam(truth, estimate):.1f}°     PSNR {psnr(truth, estimate):.1f} dB"
    )
    figure.text(1 - 0.3 / SIZE[0], 1 - 0.38 / SIZE[1], scores, size=12.5, color=INK, va="center", ha="right")
    figure.text(0.35 / SIZE[0], 0.2 / SIZE[1], caption, size=11.5, style="italic", color=QUIET, va="center")

    _draw_image(_place(figure, 0.35, 3.92, 4.2, 3.15), rgb, pixels)
    _draw_spectra(_place(figure, 5.35, 4.3, 6.35, 2.37), truth, estimate, pixels)
    nearest = [truth.sel(wavelength=nm, method="nearest")["wavelength"].item() for nm in SHOWN_BANDS]
    curve = error_curve(truth, estimate, floor=floor)
    for column, nm in enumerate(nearest):
        left = 0.65 + 1.97 * column
        pair = truth.sel(wavelength=nm), estimate.sel(wavelength=nm)
        for bottom, band, label in zip((2.09, 0.62), pair, ("truth", "estimate"), strict=True):
            axes = _place(figure, left, bottom, 1.9, 1.425)
            axes.imshow(as_picture(band, like=pair[0]), cmap="gray", vmin=0, vmax=1)
            if bottom > 1:
                axes.set_title(f"{nm:g} nm", size=12, color=INK, pad=4)
            if column == 0:
                axes.set_ylabel(label, size=12, color=INK, labelpad=5)
        axes.set_xlabel(f"{error} {float(curve.sel(wavelength=nm)):.3f}", size=10.5, color=QUIET, labelpad=3)
    _draw_errors(figure, error_map(truth, estimate, floor=floor), error)
    return figure


def _check_pixels(pixels: Mapping[str, tuple[int, int]], truth: xr.DataArray) -> None:
    if not 0 < len(pixels) <= len(COLOURS):
        raise InputError(f"a figure shows the spectra of 1 to {len(COLOURS)} pixels, not {len(pixels)}.")
    height, width = truth.shape[1:]
    for name, (y, x) in pixels.items():
        if not (0 <= y < height and 0 <= x < width):
            raise InputError(f"the pixel {name!r} at y = {y}, x = {x} lies outside the image of {height} x {width} pixels.")


def _place(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes without ticks at a place given in inches."""
    axes = figure.add_axes((left / SIZE[0], bottom / SIZE[1], width / SIZE[0], height / SIZE[1]))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes


def _draw_image(axes: Axes, rgb: npt.NDArray[Any], pixels: Mapping[str, tuple[int, int]]) -> None:
    axes.imshow(rgb)
    for number, ((y, x), colour) in enumerate(zip(pixels.values(), COLOURS, strict=False), start=1):
        axes.plot(x, y, "o", markersize=6, color=colour, markeredgecolor="white", markeredgewidth=1.3)
        axes.annotate(
            str(number),
            (x, y),
            xytext=(9, 9),
            textcoords="offset points",
            size=11,
            weight="bold",
            color="white",
            ha="center",
            va="center",
            bbox={"boxstyle": "circle,pad=0.18", "facecolor": colour, "edgecolor": "white", "linewidth": 1},
        )


def _draw_spectra(axes: Axes, truth: xr.DataArray, estimate: xr.DataArray, pixels: Mapping[str, tuple[int, int]]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MultipleLocator

    nm = truth["wavelength"].values
    handles = []
    for number, ((name, (y, x)), colour) in enumerate(zip(pixels.items(), COLOURS, strict=False), start=1):
        axes.plot(nm, truth[:, y, x], "--", color=colour, linewidth=1.6)
        axes.plot(nm, estimate[:, y, x], "-", color=colour, linewidth=2.2)
        handles.append(Line2D([], [], marker="o", linestyle="none", markersize=9, color=colour, label=f"{number}  {name}"))
    axes.xaxis.set_major_locator(MultipleLocator(50))
    axes.yaxis.set_major_locator(MultipleLocator(0.2))
    axes.set_xlim(nm[0], nm[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("Wavelength (nm)", size=12.5, color=INK)
    quantity = truth.attrs.get("quantity", "unknown")
    axes.set_ylabel("Value" if quantity == "unknown" else quantity.capitalize(), size=12.5, color=INK)
    axes.tick_params(labelsize=11.5, color=QUIET, labelcolor=INK)
    axes.spines[["left", "bottom"]].set(visible=True, color=QUIET)
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    dashed, solid = Line2D([], [], color=INK, linestyle="--"), Line2D([], [], color=INK)
    plain: dict[str, Any] = {"frameon": False, "fontsize": 11.5, "labelcolor": INK, "handletextpad": 0.5}
    axes.add_artist(axes.legend([dashed, solid], ["truth", "estimate"], loc="best", **plain))
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, columnspacing=1.4, **plain)


def _draw_errors(figure: Figure, errors: xr.DataArray, label: str) -> None:
    axes = _place(figure, 7.0, 0.62, 3.86, 2.895)
    # A few pixels in deep shadow would darken all others; the arrow of the colour bar marks values beyond the scale.
    top = max(0.1, float(np.ceil(np.nanquantile(errors, 0.98) * 10) / 10))
    image = axes.imshow(errors, cmap="magma", vmin=0, vmax=top)
    axes.set_facecolor(NO_ERROR)
    axes.set_title("error of each pixel, over all bands", size=12, color=INK, pad=4)
    bar = figure.colorbar(image, cax=_place(figure, 10.97, 0.62, 0.16, 2.895), extend="max", ticks=np.linspace(0, top, 5))
    bar.set_label(label, size=12.5, color=INK)
    bar.ax.tick_params(labelsize=11.5, color=QUIET, labelcolor=INK)
    bar.outline.set_visible(False)
