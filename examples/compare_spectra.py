"""Spectra of pixels and of a region, estimated and true: as scores, as curves and as a table.

Give a photo and the measured cube of the same scene, in the same pixels; the default is the synthetic scene, whose spectra are known. It
writes spectra.csv, one row per curve, and spectra.png, where the colour identifies the place, dashed lines are the truth, and the shaded
band is plus or minus one standard deviation of the region. Expect estimates to follow the truth best between 430 and 660 nm, where cameras
are most sensitive; beyond, the model guesses.
"""

from __future__ import annotations

import argparse
import sys
from itertools import cycle
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

import napari_drcr as nd
from napari_drcr.analysis.figures import save_figure
from napari_drcr.analysis.metrics import metric_name
from napari_drcr.analysis.regions import region_spectrum
from napari_drcr.analysis.spectra import compare, spectrum_at, write_spectra_csv
from napari_drcr.camera.sample import marked_pixels, synthetic_pair

FLOOR = 0.01
WALL = [(6, 8), (6, 190), (34, 190), (34, 8)]
"""Corners (y, x) of a region of the synthetic scene."""


def main() -> None:
    """Compare curve by curve, then plot and write all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", nargs="?", help="RGB image; by default the synthetic scene")
    parser.add_argument("truth", nargs="?", help="its measured cube: .mat, .hdr, .nc, .tif or a CAVE folder")
    for name, what in (("--at", "a pixel to compare"), ("--corner", "a corner of the region, three or more")):
        parser.add_argument(name, nargs=2, type=float, action="append", metavar=("Y", "X"), help=f"{what}; may be repeated")
    parser.add_argument("-m", "--model", default="photo", help="photo, polynomial, linear, or a model's file")
    parser.add_argument("-o", "--output", default="examples-output", type=Path, help="folder for the results")
    options = parser.parse_args()
    if options.photo and not options.truth:
        parser.error("name the measured cube of the photo as well")

    if options.photo:
        photo, truth = options.photo, nd.read_cube(options.truth)
        pixels, corners = [(truth.sizes["y"] // 2, truth.sizes["x"] // 2)], options.corner
    else:
        photo, truth = synthetic_pair()
        pixels, corners = [*marked_pixels().values()], options.corner or WALL
    estimate = nd.reconstruct(photo, options.model).rename("estimate")
    truth, error, facts = truth.rename("truth"), metric_name("mrae", FLOOR), estimate.attrs
    print(f"Model {facts['model']}, {error} of all pixels: {nd.mrae(truth, estimate, FLOOR):.3f}")
    print(f"Quantity of the estimate: {facts['quantity']}, of the truth: {truth.attrs['quantity']}")

    curves = {f"y {y:g}, x {x:g}": (spectrum_at(truth, y, x), spectrum_at(estimate, y, x)) for y, x in options.at or pixels}
    if corners:
        true, estimated = region_spectrum(truth, corners), region_spectrum(estimate, corners)
        curves[f"mean over {true.centre.attrs['pixels']} pixels"] = true.centre, estimated.centre

    figure = Figure(figsize=(12, 4), dpi=150, layout="constrained")
    scene, plot = figure.subplots(1, 2)
    scene.imshow(nd.render_srgb(estimate))
    scene.set(xlabel="x (pixels)", ylabel="y (pixels)", title="the estimate, as the eye sees it")
    plot.set(xlabel="wavelength (nm)", ylabel=facts["quantity"], title=f"estimate of {facts['model']}; dashed: truth")
    print(f"{'':22}{error:>12}{'RMSE':>9}{'SAM (°)':>9}")
    for (name, (exact, guess)), colour in zip(curves.items(), cycle(matplotlib.color_sequences["petroff10"]), strict=False):
        found = compare(exact, guess, FLOOR)
        print(f"{name:22}{found.mrae:12.3f}{found.rmse:9.3f}{found.sam:9.2f}")
        plot.plot(exact["wavelength"], exact, "--", color=colour)
        plot.plot(guess["wavelength"], guess, color=colour, label=name)
        if "y" in guess.coords:
            scene.plot(guess["x"], guess["y"], "o", color=colour, markeredgecolor="white", markersize=8)
        else:
            plot.fill_between(guess["wavelength"], estimated.low, estimated.high, color=colour, alpha=0.2, linewidth=0)
            scene.fill([x for _, x in corners], [y for y, _ in corners], facecolor="none", edgecolor=colour, linewidth=2)
    plot.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)

    options.output.mkdir(parents=True, exist_ok=True)
    write_spectra_csv(options.output / "spectra.csv", [(name, curve) for name, pair in curves.items() for curve in pair])
    save_figure(options.output / "spectra.png", figure)
    print(f"Wrote spectra.csv and spectra.png to {options.output}")
    print(facts["estimate"])


if __name__ == "__main__":
    try:
        main()
    except (nd.InputError, OSError) as error:
        sys.exit(f"Error: {error}")
