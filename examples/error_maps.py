"""Errors of models, band by band and on average, on one scale; and a comparison figure as in papers.

Give a photo and the measured cube of the same scene, in the same pixels; the default is the synthetic scene. It writes error_maps.png,
one row per model, where circles mark the worst pixels, and comparison.pdf at the width of two columns. Expect the network to be best at
most pixels but not at all of them, and every model to be worst along edges, in shadows, and near 400 and 700 nm.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import napari_drcr as nd
from napari_drcr.analysis.figures import comparison_figure, save_figure
from napari_drcr.analysis.metrics import worst_pixels
from napari_drcr.camera.sample import synthetic_pair

FLOOR = 0.01
BANDS = (420.0, 550.0, 680.0)
APART = 12
"""Minimum distance in pixels between two of the worst pixels."""


def main() -> None:
    """Estimate with each model, map the errors, and plot them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", nargs="?", help="RGB image; by default the synthetic scene")
    parser.add_argument("truth", nargs="?", help="its measured cube: .mat, .hdr, .nc, .tif or a CAVE folder")
    parser.add_argument("-m", "--models", nargs="+", default=["photo", "linear"], help="names or files, at most five")
    parser.add_argument("-o", "--output", default="examples-output", type=Path, help="folder for the results")
    options = parser.parse_args()
    if options.photo and not options.truth:
        parser.error("name the measured cube of the photo as well")

    if options.photo:
        rgb, truth = nd.read_rgb(options.photo), nd.read_cube(options.truth)
    else:
        rgb, truth = synthetic_pair()
    estimates = {Path(name).stem: nd.reconstruct(options.photo or rgb, name) for name in options.models}
    maps = {name: nd.error_cube(truth, cube, floor=FLOOR, clipped=cube["clipped"]) for name, cube in estimates.items()}
    means = {name: nd.mean_map(errors) for name, errors in maps.items()}

    # One scale for all, up to the 95th percentile of the errors.
    scale = float(np.nanpercentile(np.stack([*maps.values()]), 95))
    figure = Figure(figsize=(12, 2.3 * len(maps)), dpi=150, layout="compressed")
    for (name, errors), row in zip(maps.items(), figure.subplots(len(maps), 1 + len(BANDS), squeeze=False), strict=True):
        for axes, nm in zip(row, BANDS, strict=False):
            band = errors.sel(wavelength=nm, method="nearest")
            axes.imshow(band, cmap="magma", vmin=0, vmax=scale)
            axes.set_title(f"{name}, {float(band['wavelength']):g} nm")
        image = row[-1].imshow(means[name], cmap="magma", vmin=0, vmax=scale)
        row[-1].set_title(f"{name}, {means[name].name}")
        print(f"{name}: {means[name].name} {nd.mrae(truth, estimates[name], FLOOR):.3f}, worst at")
        for y, x, error in worst_pixels(means[name], count=3, apart=APART):
            row[-1].plot(x, y, "o", color="none", markeredgecolor="cyan", markersize=9, clip_on=False)
            print(f"  y {y}, x {x}: {error:.2f}")
        print(f"  excluded: {errors.attrs['left_out_share']:.1%} of the entries, below {FLOOR:g} or clipped")
    for axes in figure.axes:
        axes.set(xticks=[], yticks=[], facecolor="0.85")
    figure.colorbar(image, ax=figure.axes, label="relative error", extend="max", pad=0.01, aspect=40)

    options.output.mkdir(parents=True, exist_ok=True)
    save_figure(options.output / "error_maps.png", figure)
    comparison_figure(options.output / "comparison.pdf", rgb, truth, estimates, bands=BANDS, floor=FLOOR)
    print(f"Wrote error_maps.png and comparison.pdf to {options.output}")
    print(next(iter(estimates.values())).attrs["estimate"])


if __name__ == "__main__":
    try:
        main()
    except (nd.InputError, OSError) as error:
        sys.exit(f"Error: {error}")
