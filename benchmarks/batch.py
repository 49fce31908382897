"""Images a minute of a batch: one after the other, overlapped, and spread over two processes.

usage: python benchmarks/batch.py IMAGES OUT [MODEL [ROUNDS]]

IMAGES is a folder of RGB images, for instance of `napari-drcr simulate`; the cubes go as .mat files into the folder OUT and are left there. The first
two rows are functions called in this process, with the model in memory: the plain loop of `reconstruct` and `write_cube`, and the overlap of
`napari_drcr.system.batch` as the command line has it. The others are whole commands, from the start of Python to the end. All take turns in every round; the
table has their medians, and the ratio of each to the plain way of its kind in the same round, its median as well.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import xarray as xr

from napari_drcr.inference.preparation import PreparedImage, read_prepared
from napari_drcr.inference.reconstruction import Estimator, reconstruct
from napari_drcr.io import find_images, write_cube
from napari_drcr.models.store import Model, load_model
from napari_drcr.system.batch import overlapped
from napari_drcr.system.devices import choose_device, devices
from napari_drcr.system.steps import run_to_end


def plain(images: list[Path], out: Path, model: Model) -> None:
    """Read, compute and write one image after the other."""
    for image in images:
        write_cube(out / f"{image.stem}.mat", reconstruct(image, model))


def overlap(images: list[Path], out: Path, model: Model) -> None:
    """Read ahead, write behind."""
    estimator = Estimator(model)

    def compute(image: Path, prepared: PreparedImage) -> xr.DataArray:
        return run_to_end(estimator.iter_estimate(prepared))

    def write(image: Path, cube: xr.DataArray) -> None:
        write_cube(out / f"{image.stem}.mat", cube)

    for failure in overlapped(images, lambda image: read_prepared(image, model), compute, write):
        if failure is not None:
            raise failure


def command(images: list[Path], out: Path, model: str, *words: str) -> None:
    """Run `napari-drcr reconstruct` from start to end."""
    line = [sys.executable, "-m", "napari_drcr", "reconstruct", *map(str, images), "-o", str(out), "-m", model, *words]
    subprocess.run(line, check=True, capture_output=True)


def main(folder: str, out: str, model: str = "photo", rounds: str = "5") -> None:
    """Measure, and print a table."""
    images, target, loaded = sorted(find_images(folder).values()), Path(out), load_model(model)
    target.mkdir(parents=True, exist_ok=True)
    ways: dict[str, Callable[[], None]] = {
        "one after the other": lambda: plain(images, target, loaded),
        "overlapped": lambda: overlap(images, target, loaded),
        "the command": lambda: command(images, target, model),
        "the command, --devices 2": lambda: command(images, target, model, "--devices", "2"),
    }
    plain(images[:1], target, loaded)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(int(rounds)):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - begun)
    print(f"{len(images)} images, {model}, {devices()[choose_device()]}, {rounds} rounds\n")
    print("| | s an image | ratio |\n| --- | --- | --- |")
    for name, found in seconds.items():
        base = seconds["the command" if name.startswith("the command") else "one after the other"]
        ratio = median(one / other for one, other in zip(found, base, strict=True))
        print(f"| {name} | {median(found) / len(images):.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
