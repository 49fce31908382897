"""Alternative ways to run a network on this CPU, timed in turn in one run, compared with the plain whole image.

    pip install onnx onnxscript onnxruntime openvino nncf     # in the project's environment; torch.compile also needs g++
    python benchmarks/alternatives.py DATA                    # the model photo at 482 x 512
    python benchmarks/alternatives.py DATA --full-size --size 256x256 --ways "strips fp32;OpenVINO fp32"

DATA holds true cubes in Train_spectral, whose photographs calibrate the int8 networks, and in Valid_spectral: a photograph of the first of
these scenes is timed, and each way is scored on all of them. Each way runs in a separate, persistent process that gets one image after
another, so that other load affects all of them alike; the plain whole image is always included. A way whose packages are missing is
skipped. --full-size uses random weights: suitable for timing, without scores.

The columns: the median time of a pass, and the speed-up over the plain whole image; the peak memory of a process in its first pass, above
the level before (Linux only); the time to convert, quantise, compile and load; the deviation from the plain whole image on the timed
image, its mean relative to the mean value, and its maximum; and the score.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import torch
import typer
import xarray as xr

import napari_drcr.models.drcr.strips
from napari_drcr.analysis.metrics import metric_name, mrae
from napari_drcr.benchmark.subject import full_size as make_full_size
from napari_drcr.camera.simulation import simulate
from napari_drcr.cubes.cube import align, make_cube
from napari_drcr.errors import InputError, Notice
from napari_drcr.inference.passes import NetworkRunner
from napari_drcr.inference.pixels import open_rgb
from napari_drcr.inference.preparation import ImageSettings, prepare_rgb
from napari_drcr.io import find_cubes, read_cube
from napari_drcr.models.drcr.network import SLOPE
from napari_drcr.models.store import Model, load_model
from napari_drcr.system.devices import processor_name
from napari_drcr.system.steps import run_to_end

Image = npt.NDArray[np.float32]
Engine = Callable[[Image], Image]
"""From the input of the network, (3, y, x) with y and x multiples of 4, to the cube (bands, y, x)."""

FLOOR = 0.01
MULTIPLE = 4
CALIBRATION = 10
"""Scenes for calibrating an int8 network."""
PAUSE = 0.3
"""Seconds before each pass: threads of the previous one may spin for a while before they sleep."""


@dataclass(frozen=True)
class Task:
    """Input for building a way: a model with a network, the timed image, and calibration images."""

    model: Model
    image: Image
    examples: list[Image]


def whole(
    task: Task,
    kind: torch.dtype = torch.float32,
    layout: torch.memory_format = torch.channels_last,
    *,
    compiled: bool = False,
) -> Engine:
    """The whole image at once, in eager torch or through torch.compile."""
    placed = task.model.estimator.to(dtype=kind, memory_format=layout)
    forward = torch.compile(placed, dynamic=False) if compiled else placed

    @torch.no_grad()
    def run(image: Image) -> Image:
        cube: Image = forward(torch.from_numpy(image)[None].to(kind, memory_format=layout))[0].float().numpy()
        return cube

    if compiled:
        run(task.image)
    return run


def strips(task: Task, precision: str = "fp32", arithmetic: str = "none", *, fused: bool = False) -> Engine:
    """As `reconstruct` runs it; float32 convolutions in other `arithmetic`, or `fused` with the LeakyReLU after them."""
    torch.backends.mkldnn.conv.fp32_precision = arithmetic  # type: ignore[attr-defined]
    if fused:
        # A private operator of torch for oneDNN's fused activation.
        convolve = partial(torch.ops.mkldnn._convolution_pointwise, attr="leaky_relu", scalars=[SLOPE], algorithm="")
        vars(napari_drcr.models.drcr.strips)["F"] = SimpleNamespace(
            conv2d=lambda x, weight, bias, padding: convolve(x, weight, bias, padding, [1, 1], [1, 1], 1),
            leaky_relu_=lambda x, _slope: x,
        )
    runner = NetworkRunner(task.model, "cpu", precision)
    return lambda image: run_to_end(runner.estimate(image))


def to_onnx(task: Task, path: Path) -> Path:
    """Write the network as ONNX, for images of any size."""
    y, x = (torch.export.Dim(name, min=2) for name in "yx")
    shapes = ({2: MULTIPLE * y, 3: MULTIPLE * x},)
    image = torch.from_numpy(task.image)[None]
    torch.onnx.export(
        task.model.estimator, (image,), path, dynamic_shapes=shapes, input_names=["rgb"], external_data=False, verbose=False
    )
    return path


def onnx_runtime(task: Task, *, int8: bool = False) -> Engine:
    """ONNX Runtime; in int8 with one scale per channel."""
    import onnxruntime
    from onnxruntime.quantization import quantize_static

    with TemporaryDirectory() as folder:
        path = to_onnx(task, Path(folder, "network.onnx"))
        if int8:
            # The only method that a calibration data reader needs.
            reader = SimpleNamespace(get_next=partial(next, ({"rgb": example[None]} for example in task.examples), None))
            quantize_static(path, quantised := Path(folder, "int8.onnx"), reader, per_channel=True)
            path = quantised
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"rgb": image[None]})[0][0]


def openvino(task: Task, precision: str = "f32", *, int8: bool = False) -> Engine:
    """OpenVINO, compiled for the size of each image; `precision` is its hint."""
    import openvino

    folder = TemporaryDirectory()  # kept, since OpenVINO may read its file until it has compiled
    model = openvino.Core().read_model(to_onnx(task, Path(folder.name, "network.onnx")))
    if int8:
        import nncf

        data = nncf.Dataset([example[None] for example in task.examples])
        model = nncf.quantize(model, data, preset=nncf.QuantizationPreset.MIXED, subset_size=len(task.examples))

    @cache
    def of_size(shape: tuple[int, ...]) -> Any:
        fixed = model.clone()
        fixed.reshape([1, *shape])
        return openvino.compile_model(fixed, "CPU", {"INFERENCE_PRECISION_HINT": precision}), folder

    of_size(task.image.shape)
    return lambda image: of_size(image.shape)[0](image[None])[0][0]


@dataclass(frozen=True)
class Way:
    """A row of the table: how to build it, the packages and programs it needs, and the environment of its process."""

    build: Callable[[Task], Engine]
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


PLAIN = "whole image fp32"
BF16 = torch.bfloat16
LARGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}
FROZEN = {"TORCHINDUCTOR_FREEZING": "1", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
ONNX = ("onnx", "onnxscript")
WAYS = {
    PLAIN: Way(partial(whole, layout=torch.contiguous_format)),
    f"{PLAIN}, large pages": Way(partial(whole, layout=torch.contiguous_format), environment=LARGE_PAGES),
    "channels-last fp32": Way(whole),
    "channels-last bf16": Way(partial(whole, kind=BF16)),
    "strips fp32": Way(strips),
    "strips fp32, large pages": Way(strips, environment=LARGE_PAGES),
    "strips fp32, fused LeakyReLU": Way(partial(strips, fused=True)),
    "strips fp32, bf16 arithmetic": Way(partial(strips, arithmetic="bf16")),
    "strips bf16": Way(partial(strips, precision="bf16")),
    "strips bf16, large pages": Way(partial(strips, precision="bf16"), environment=LARGE_PAGES),
    "strips bf16, fused LeakyReLU": Way(partial(strips, precision="bf16", fused=True)),
    "torch.compile fp32": Way(partial(whole, compiled=True), ("g++",), FROZEN),
    "torch.compile bf16": Way(partial(whole, kind=BF16, compiled=True), ("g++",), FROZEN),
    "ONNX Runtime fp32": Way(onnx_runtime, (*ONNX, "onnxruntime")),
    "ONNX Runtime int8": Way(partial(onnx_runtime, int8=True), (*ONNX, "onnxruntime")),
    "OpenVINO fp32": Way(openvino, (*ONNX, "openvino")),
    "OpenVINO bf16": Way(partial(openvino, precision="bf16"), (*ONNX, "openvino")),
    "OpenVINO int8": Way(partial(openvino, int8=True), (*ONNX, "openvino", "nncf")),
}


def serve(orders: Connection, way: str, source: str | None, image: Image, examples: list[Image]) -> None:
    """The process of a way: build it, then run it on every image received."""
    warnings.simplefilter("ignore")
    model = chosen_model(source)
    begun = time.perf_counter()
    engine = WAYS[way].build(Task(model, image, examples))
    orders.send(time.perf_counter() - begun)
    while True:
        try:
            image = orders.recv()
        except EOFError:  # The table is printed.
            return
        held = memory("VmRSS", forget_peak=True)
        begun = time.perf_counter()
        cube = engine(image)
        seconds = time.perf_counter() - begun
        orders.send((cube, seconds, memory("VmHWM") - held))


def memory(entry: str, *, forget_peak: bool = False) -> float:
    """An entry of /proc/self/status in MB; NaN on systems without it."""
    if not (status := Path("/proc/self/status")).exists():
        return float("nan")
    if forget_peak:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(rf"{entry}:\s+(\d+) kB", status.read_text())
    return int(found[1]) / 1024 if found else float("nan")


class Worker:
    """A way in a separate process, and its measurements."""

    def __init__(self, way: str, source: str | None, image: Image, examples: list[Image]) -> None:
        context = get_context("spawn")
        self.orders, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, way, source, image, examples), daemon=True)
        with patch.dict(os.environ, WAYS[way].environment):
            process.start()
        theirs.close()
        self.preparation: float = self.orders.recv()
        self.cube, _, self.peak = self.run(image)
        self.seconds: list[float] = []

    def run(self, image: Image) -> tuple[Image, float, float]:
        """Cube, seconds, and peak memory in MB above the level before."""
        time.sleep(PAUSE)
        self.orders.send(image)
        answer: tuple[Image, float, float] = self.orders.recv()
        return answer


def chosen_model(source: str | None) -> Model:
    """The model of that name or file; for None the full-size network with random weights."""
    if source is not None:
        return load_model(source)
    return make_full_size()


def photographs(folder: Path, model: Model, count: int | None = None) -> list[tuple[xr.DataArray, Image]]:
    """Scenes, and the model's input from their photographs."""
    found = []
    with TemporaryDirectory() as scratch:
        for scene in find_cubes(folder)[:count]:
            cube = read_cube(scene)
            simulate(cube, file := Path(scratch, f"{scene.stem}.jpg"), "photo")
            pixels, profile, _ = open_rgb(file)
            found.append((cube, prepare_rgb(pixels, model, ImageSettings(profile=profile)).values))
    return found


def padded(image: Image) -> Image:
    """Pad an image as `reconstruct` does."""
    height, width = image.shape[1:]
    return np.pad(image, ((0, 0), (0, -height % MULTIPLE), (0, -width % MULTIPLE)), mode="reflect")


def score(worker: Worker, model: Model, truth: xr.DataArray, image: Image) -> float:
    """The MRAE of a scene, as computed by `napari-drcr evaluate`."""
    values = worker.run(padded(image))[0][:, : image.shape[1], : image.shape[2]]
    return mrae(*align(truth, make_cube(values, model.wavelengths, quantity=model.card.quantity)), FLOOR)


def main(
    data: Annotated[Path, typer.Argument(help="Folder with true cubes in Train_spectral and Valid_spectral.")],
    model: Annotated[str, typer.Option(help="A shipped network or a file.")] = "photo",
    full_size: Annotated[bool, typer.Option("--full-size", help="100 channels, 10 blocks, random weights instead.")] = False,
    size: Annotated[str, typer.Option(help="Rows x columns of the timed image.")] = "482x512",
    rounds: Annotated[int, typer.Option(min=1, help="Timed passes per way.")] = 5,
    scores: Annotated[bool, typer.Option(help="Whether to score each way on all scenes.")] = True,
    ways: Annotated[str, typer.Option(help="Rows to measure, separated by semicolons.")] = ";".join(WAYS),
) -> None:
    """Time ways to run the network, and tabulate them."""
    warnings.simplefilter("ignore", Notice)
    wanted = {PLAIN, *ways.split(";")}
    if unknown := wanted - set(WAYS):
        raise InputError(f"there is no way {min(unknown)!r}; there is {'; '.join(WAYS)}.")
    source = None if full_size else model
    loaded = chosen_model(source)
    if loaded.architecture.per_pixel:
        raise InputError(f"{loaded.name} is a per-pixel map; give a network.")
    names = [name for name in WAYS if name in wanted]
    for name in [*names]:
        if lacking := [need for need in WAYS[name].needs if find_spec(need) is None and shutil.which(need) is None]:
            print(f"{name} is skipped: install {' and '.join(lacking)} first.")
            names.remove(name)
    rows, columns = map(int, size.split("x"))
    crop = np.s_[:, :rows, :columns]
    scored = scores and not full_size
    scenes = photographs(data / "Valid_spectral", loaded, None if scored else 1)
    image = padded(scenes[0][1][crop])
    training = photographs(data / "Train_spectral", loaded, CALIBRATION) if any("int8" in name for name in names) else []
    examples = [padded(values[crop]) for _, values in training]
    workers = {name: Worker(name, source, image, examples) for name in names}
    for _ in range(rounds):
        for worker in workers.values():
            worker.seconds.append(worker.run(image)[1])
    plain = workers[PLAIN]
    print(f"\n{loaded.name}, {rows} x {columns}, {processor_name()}, torch {torch.__version__}, median of {rounds}\n")
    titles = ("", "s", "ratio", "memory MB", "preparation s", "mean deviation", "largest", metric_name("mrae", FLOOR))
    print(f"| {' | '.join(titles)} |\n|{' --- |' * len(titles)}")
    for name, worker in workers.items():
        middle = median(worker.seconds)
        deviation = np.abs(worker.cube - plain.cube)
        figures = (
            f"{middle:.2f}",
            f"{median(plain.seconds) / middle:.2f}",
            f"{worker.peak:.0f}",
            f"{worker.preparation:.1f}",
            f"{deviation.mean() / np.abs(plain.cube).mean():.1e}",
            f"{deviation.max():.1e}",
            f"{fmean(score(worker, loaded, *scene) for scene in scenes):.4f}" if scored else "",
        )
        print(f"| {name} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    try:
        typer.run(main)
    except InputError as error:
        sys.exit(f"Error: {error}")
