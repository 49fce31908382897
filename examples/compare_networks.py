"""Networks side by side: each trained for a short while on the same scenes, then compared on one that none has seen.

The scenes are synthetic, and differ in their textures only, so the errors are far lower than those of photos: use this as a template for
your own scenes. It writes compare_networks.png, the scenes, and each model as a file for reconstruct. Expect about two minutes on a laptop;
so short a run shows which network learns quickly, and not which is best in the end.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from matplotlib.figure import Figure

import napari_drcr as nd
from napari_drcr.analysis.figures import save_figure
from napari_drcr.analysis.metrics import metric_name
from napari_drcr.camera.sample import marked_pixels, synthetic_pair, synthetic_scene
from napari_drcr.models.architecture import find_preset
from napari_drcr.training.config import make_config
from napari_drcr.training.run import start_run

FLOOR = 0.01
SEEDS = (1, 2, 3)
"""Of the scenes to train on; that of the one held out is 0."""
PLACES = ("yellow patch", "large sphere", "table")


def main() -> None:
    """Write the scenes, train each network on them, and plot what it makes of the one held out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        *("-n", "--networks"),
        nargs="+",
        default=["hscnn_r", "mst_plus_plus", "lfb"],
        help="ids, as `napari-drcr models --networks` lists them, or ID:PRESET",
    )
    parser.add_argument("-s", "--steps", type=int, default=150, help="training steps of each network")
    parser.add_argument("-o", "--output", default="examples-output", type=Path, help="folder for the results")
    options = parser.parse_args()

    settings = {name: find_preset(name) for name in options.networks}
    options.output.mkdir(parents=True, exist_ok=True)
    rgb, truth = synthetic_pair()
    cubes = {"Valid_spectral/held_out": truth, **{f"Train_spectral/scene_{seed}": synthetic_scene(seed=seed) for seed in SEEDS}}
    scenes = options.output / "scenes"
    for name, cube in cubes.items():
        (scenes / name).parent.mkdir(parents=True, exist_ok=True)
        nd.write_cube(scenes / f"{name}.mat", cube)
    learning = {
        "steps": options.steps,
        "batch": 4,
        "learning_rate": 1e-3,
        "warmup_steps": options.steps // 10,
        "ema_decay": 0,
        "validate_every": options.steps,
    }
    estimates, scores = {}, {}
    error = metric_name("mrae", FLOOR)
    for name, network in settings.items():
        file = options.output / f"{name.replace(':', '-')}.safetensors"
        config = make_config({"name": file.stem, "data": {"folder": scenes}, "learning": learning}, network=network)
        started = perf_counter()
        with TemporaryDirectory() as folder:
            shutil.copyfile(start_run(config, Path(folder) / "run"), file)
        seconds = perf_counter() - started
        estimates[name] = nd.reconstruct(rgb, file)
        scores[name] = nd.mrae(truth, estimates[name], FLOOR)
        print(f"{name}: {nd.load_model(file).parameters:,} parameters, {error} {scores[name]:.3f} after {seconds:.0f} s")

    maps = {name: nd.error_map(truth, cube, floor=FLOOR, clipped=cube["clipped"]) for name, cube in estimates.items()}
    # One scale for all, up to the highest 95th percentile of the errors.
    scale = max(float(errors.quantile(0.95)) for errors in maps.values())
    figure = Figure(figsize=(12, 6.5), dpi=150, layout="constrained")
    grid = figure.add_gridspec(2, 1)
    images, curves = (figure.add_subfigure(grid[row, 0]) for row in range(2))
    photo, *row = images.subplots(1, 1 + len(maps))
    photo.imshow(rgb)
    photo.set_title("held-out scene")
    for axes, (name, errors) in zip(row, maps.items(), strict=True):
        image = axes.imshow(errors, cmap="magma", vmin=0, vmax=scale)
        axes.set_title(f"{name}, {scores[name]:.3f}")
    images.colorbar(image, ax=row, label=error, extend="max", shrink=0.7)
    for axes in (photo, *row):
        axes.set(xticks=[], yticks=[])
    for number, (axes, place) in enumerate(zip(curves.subplots(1, len(PLACES), sharey=True), PLACES, strict=True), start=1):
        y, x = marked_pixels()[place]
        photo.plot(x, y, "o", color="none", markeredgecolor="white", markersize=8)
        photo.annotate(str(number), (x, y), (6, 6), textcoords="offset points", color="white")
        axes.plot(truth["wavelength"], truth[:, y, x], "k--", label="truth")
        for name, cube in estimates.items():
            axes.plot(cube["wavelength"], cube[:, y, x], label=name)
        axes.set(title=f"{number}: {place}, y {y}, x {x}", xlabel="wavelength (nm)")
    axes.legend(frameon=False)
    curves.axes[0].set_ylabel(truth.attrs["quantity"])

    save_figure(options.output / "compare_networks.png", figure)
    print(f"Wrote compare_networks.png, the scenes and the models to {options.output}")
    print(next(iter(estimates.values())).attrs["estimate"])


if __name__ == "__main__":
    try:
        main()
    except (nd.InputError, OSError) as error:
        sys.exit(f"Error: {error}")
