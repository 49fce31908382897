"""A large image through a network of the paper's size: time, memory, and delay of a cancel.

    python benchmarks/large_image.py                          # 4096x3072, minutes to hours
    python benchmarks/large_image.py --size 1024x768 --blocks 1
    python benchmarks/large_image.py --check 482x512          # compare with the whole image at once

The weights are random with a fixed seed. The image is the bundled synthetic photo, extended by reflection. The work runs in a separate process
as in `napari_drcr.reconstruct`, and the measurements are of that process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Annotated, Any

import numpy as np
import typer

from napari_drcr.benchmark.subject import full_size, make_image, parse_size
from napari_drcr.errors import InputError
from napari_drcr.inference.reconstruction import iter_reconstruct
from napari_drcr.system.devices import devices
from napari_drcr.system.memory import peak, reset_peak, resident
from napari_drcr.system.steps import run_to_end


def measure(size: tuple[int, int], blocks: int, precision: str, tile: int | None) -> dict[str, Any]:
    """Estimate a cube, and time each step."""
    import torch

    from napari_drcr.models.feature_map import FeatureMap

    on_disk = []
    make = FeatureMap.__init__

    def make_and_record(self: FeatureMap, *given: Any, **named: Any) -> None:
        make(self, *given, **named)
        on_disk.append(self.on_disk)

    FeatureMap.__init__ = make_and_record  # type: ignore[method-assign]
    model, image = full_size(blocks=blocks), make_image(*size)
    # Memory that the first convolution of a process allocates does not count.
    with torch.inference_mode():
        model.estimator(torch.zeros((1, 3, 8, 8)))
    before = resident()
    reset_peak()
    steps = iter_reconstruct(image, model, device="cpu", precision=precision, tile=tile, encoding="linear")
    times, halfway, total = [time.perf_counter()], 0, 0

    def look(step: tuple[int, int]) -> None:
        nonlocal halfway, total
        done, total = step
        times.append(time.perf_counter())
        if done <= total // 2:  # Everything but the cube is allocated.
            halfway = peak() - before
        if sys.stderr.isatty():
            print(f"step {done} of {total}, {times[-1] - times[0]:.0f} s ", end="\r", file=sys.stderr, flush=True)

    cube = run_to_end(steps, look)
    times.append(time.perf_counter())
    most = peak() - before
    return {
        "seconds": times[-1] - times[0],
        "memory": most,
        "memory_without_cube": max(most - cube.nbytes, halfway),
        "on_disk": on_disk[-1],
        "longest_step": float(np.diff(times).max()),
        "steps": total,
        "precision": cube.attrs["precision"],
        "tile": cube.attrs["tile"],
    }


def check(size: tuple[int, int], blocks: int, precision: str, tile: int | None) -> None:
    """Compare the cube with that of the whole image at once in float32."""
    import torch

    from napari_drcr.inference.passes import NetworkRunner

    model, image = full_size(blocks=blocks), make_image(*size)
    values = np.moveaxis(image, -1, 0).astype(np.float32, order="C") / np.float32(255)
    runner = NetworkRunner(model, "cpu", precision, tile)
    cube = run_to_end(runner.estimate(values))
    assert runner.latest is not None
    with torch.inference_mode():
        whole = model.estimator(torch.from_numpy(runner.latest.image)[None])[0]
    whole = whole[:, : size[0], : size[1]].numpy()
    difference = np.abs(cube - whole)
    print(
        f"{size[0]} x {size[1]}, {blocks} blocks, {runner.precision}, tile {runner.latest.tile}: the largest difference from the whole "
        f"image in fp32 is {difference.max():.2g}, {difference.max() / np.abs(whole).max():.2g} of the largest value; the mean is "
        f"{difference.mean() / np.abs(whole).mean():.2g} of the mean value."
    )


def main(
    size: Annotated[str, typer.Option(help="Height and width in pixels.", metavar="HxW")] = "4096x3072",
    blocks: Annotated[int, typer.Option(help="Blocks of the network; 10 in the paper, fewer for a quick test.", min=1)] = 10,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16.")] = "auto",
    tile: Annotated[int | None, typer.Option(help="Side of the pieces.")] = None,
    compared: Annotated[
        str | None, typer.Option("--check", help="Compare with the whole image at once, at this size.", metavar="HxW")
    ] = None,
    here: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Estimate the cube of a large image, and print time and memory."""
    if compared is not None:
        check(parse_size(compared), blocks, precision, tile)
        return
    height, width = parse_size(size)
    if here:
        print(json.dumps(measure((height, width), blocks, precision, tile)))
        return
    child = subprocess.run([sys.executable, *sys.argv, "--here"], stdout=subprocess.PIPE, check=False)
    if child.returncode:
        raise InputError(f"the process ended with code {child.returncode}.")
    found = json.loads(child.stdout)
    print(
        f"{height} x {width} pixels ({height * width / 1e6:.1f} megapixels), 100 channels, {blocks} blocks, {devices()['cpu']}."
    )
    if blocks != 10:
        print(f"The network of the paper has 10 blocks; with {blocks} these figures do not apply to it.")
    print(f"precision {found['precision']}, tile {found['tile']}, {found['steps']} steps")
    print(f"seconds: {found['seconds']:.1f}")
    print(
        f"peak memory beyond that in use before: {found['memory'] / 1e9:.2f} GB, {found['memory_without_cube'] / 1e9:.2f} GB "
        "without the cube"
    )
    print(f"feature map in {'a file' if found['on_disk'] else 'memory'}")
    print(f"longest time between two steps, hence delay of a cancel: {found['longest_step']:.2f} s")


if __name__ == "__main__":
    try:
        typer.run(main)
    except InputError as error:
        sys.exit(f"Error: {error}")
