"""Time per image of a batch: sequential, overlapped, and distributed over two processes.

usage: python benchmarks/batch.py IMAGES OUT [MODEL [ROUNDS]]

IMAGES is a folder of RGB images, for instance from `napari-drcr simulate`; the cubes are written to the folder OUT as .mat files and kept. The first
two rows are functions called in this process, with the model in memory: a plain loop of `reconstruct` and `write_cube`, and the overlap of
`napari_drcr.system.batch` as used by the command line. The others are whole commands, including the start of Python. All take turns in every round; the
table lists their medians, and the median ratio of each to the plain variant of its kind in the same round.
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
    """Overlap reading, computing and writing."""
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
        "sequential": lambda: plain(images, target, loaded),
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
    print("| | s per image | ratio |\n| --- | --- | --- |")
    for name, found in seconds.items():
        base = seconds["the command" if name.startswith("the command") else "sequential"]
        ratio = median(one / other for one, other in zip(found, base, strict=True))
        print(f"| {name} | {median(found) / len(images):.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
