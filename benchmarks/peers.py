"""Train networks for equally long on the same scenes, and compare what they reach.

usage: python benchmarks/peers.py --folder CAVE --out OUT [NETWORK[:PRESET] ...]

Equal is the processor time of the training process, with one thread, so that a busy machine does not change who gets how much; see
`equal_time`. The processor time that the steps really took is in the table; the validation comes after them and does not count.

All networks have the recipe of the shipped `photo-drcr` (configs/photo-drcr.yaml: camera, batch, patch, floor of the loss, learning rate, schedule,
averaged weights), from scratch, in float32, with a warm-up over `WARM_UP` of the steps. Their authors' learning rates are not taken: they
are for trainings a thousand times as long, and would put those with the smallest rate last. The averaged weights of the last step are scored: nothing is selected on the held-out scenes. These are scored as by
`napari-drcr simulate --camera photo` and `napari-drcr evaluate --precision fp32`.

OUT/peers.csv gets a row as soon as a network is done; networks that have one are skipped, so an interrupted comparison goes on where it
stopped. OUT/NETWORK-PRESET holds the run with its model file.
"""

from __future__ import annotations

import csv
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from equal_time import Clock, find_steps

from napari_drcr.analysis.metrics import metric_name
from napari_drcr.errors import InputError, ignore_notice, notices_to
from napari_drcr.models.architecture import find_architecture, find_preset
from napari_drcr.system.files import atomic_path
from napari_drcr.training.config import make_config, read_content
from napari_drcr.training.dataset import find_scenes
from napari_drcr.training.sections import DataConfig, TrainingConfig

NETWORKS = (
    "mst_plus_plus:published",
    "mst_plus_plus",
    "hscnn_r",
    "edsr",
    "stiebel",
    "lfb",
    "ponet_plus",
    "awan",
    "basis_u_net",
    "drcr",
)
SMALL = "small"
RECIPE = Path(__file__).parents[1] / "configs" / "photo-drcr.yaml"
HELD_OUT = ("chart_and_stuffed_toy", "fake_and_real_tomatoes", "flowers", "jelly_beans")
"""The validation scenes of `photo`, for a folder that does not say which are."""
FLOOR = 0.01
WARM_UP = 1 / 60
"""Share of the steps over which the learning rate rises, as in the recipe."""
PASSES = 3
"""Timed reconstructions; the shortest counts."""


@dataclass(frozen=True)
class Plan:
    """What all networks get.

    Parameters
    ----------
    folder, out : Path
        Of the scenes, and of the results.
    seconds : float
        Processor time of the training of each.
    patch, batch : int
        Patches are at least so large; a network may need a larger multiple.
    size : tuple of int
        Height and width of the reconstruction that is timed.
    """

    folder: Path
    out: Path
    seconds: float
    patch: int = 64
    batch: int = 8
    size: tuple[int, int] = (482, 512)

    @property
    def data(self) -> DataConfig:
        """The scenes."""
        names = () if (self.folder / "Valid_spectral").is_dir() else HELD_OUT
        return DataConfig(folder=self.folder, validation=names, quantity="reflectance")


@dataclass(frozen=True)
class Row:
    """What a network reached.

    Parameters
    ----------
    network, preset, title : str
    year : int
    parameters : int
    gmac : float
        For a reconstruction of the plan's size.
    budget : float
        Processor seconds that it should train for.
    seconds : float
        Processor seconds that its steps took.
    steps : int
    learning_rate : float
    mrae, rmse, sam : float
        Means over the held-out scenes; MRAE with a floor of `FLOOR`, SAM in degrees.
    reconstruction_seconds : float
        Processor seconds of a reconstruction with one thread.
    reconstruction_mb : float
        Memory that it takes at most, in MB.
    """

    network: str
    preset: str
    title: str
    year: int
    parameters: int
    gmac: float
    budget: float
    seconds: float
    steps: int
    learning_rate: float
    mrae: float
    rmse: float
    sam: float
    reconstruction_seconds: float
    reconstruction_mb: float


def split(entry: str) -> tuple[str, str]:
    """Network and preset of an entry."""
    network, _, preset = entry.partition(":")
    return network, preset or SMALL


def configure(entry: str, plan: Plan, steps: int) -> TrainingConfig:
    """The run of a network: the recipe, from scratch."""
    network, preset = split(entry)
    multiple = np.lcm(16, find_architecture(network).multiple)
    content = read_content(RECIPE)
    del content["learning"]["start_from"]
    return make_config(
        content,
        name=f"{network}-{preset}",
        device="cpu",
        network=find_preset(entry).model_dump(),
        data__folder=plan.folder,
        data__validation=plan.data.validation,
        data__patch=int(-(-plan.patch // multiple) * multiple),
        learning__batch=plan.batch,
        learning__steps=steps,
        learning__validate_every=steps,
        learning__warmup_steps=round(WARM_UP * steps),
        learning__precision="fp32",
    )


def reconstruct(model: Path, plan: Plan) -> tuple[float, float]:
    """Processor seconds and MB of a reconstruction, in a process of its own with one thread."""
    from napari_drcr.benchmark.child import Way
    from napari_drcr.benchmark.processes import Measured
    from napari_drcr.benchmark.subject import make_image
    from napari_drcr.inference.preparation import prepare_rgb
    from napari_drcr.models.store import load_model

    seconds, memory = [], []
    with tempfile.TemporaryDirectory(prefix="napari-drcr-") as name:
        image = Path(name) / "image.npy"
        np.save(image, prepare_rgb(make_image(*plan.size), load_model(model)).values)
        way = Way("own", "cpu", "fp32", "own fp32")
        with Measured(way, str(model), image, Path(name) / "said.txt") as measured:
            measured.start()
            process = psutil.Process(measured.pid)
            for _ in range(PASSES):
                before = process.cpu_times()
                memory.append(measured.ask("once", threads=1)["memory"])
                after = process.cpu_times()
                seconds.append(after.user + after.system - before.user - before.system)
    return min(seconds), max(memory) / 1e6


def train(entry: str, plan: Plan) -> Row:
    """Train, score and time a network; the work of a process of its own.

    Parameters
    ----------
    entry : str
        See `napari_drcr.models.architecture.find_preset`.
    plan : Plan

    Returns
    -------
    Row

    Raises
    ------
    InputError
        If it cannot be trained.
    """
    from napari_drcr.analysis.evaluation import evaluate
    from napari_drcr.models.cost import gmac
    from napari_drcr.models.store import load_model
    from napari_drcr.training.run import start_run

    network, preset = split(entry)
    with notices_to(ignore_notice):
        folder = plan.out / f"{network}-{preset}"
        trial = folder.with_name(f"{folder.name}-trial")
        config = configure(entry, plan, find_steps(lambda steps: configure(entry, plan, steps), plan.seconds, trial))
        shutil.rmtree(folder, ignore_errors=True)  # of a comparison that was interrupted
        clock = Clock()
        path = start_run(config, folder, progress=clock)
        model = load_model(path)
        truth = next(scene.cube.parent for scene in find_scenes(plan.data) if scene.held_back)
        score = evaluate(plan.out / "rgb", truth, model, floor=FLOOR, device="cpu", precision="fp32").mean
        seconds, memory = reconstruct(path, plan)
    return Row(
        network=network,
        preset=preset,
        title=model.architecture.title,
        year=model.architecture.year,
        parameters=model.parameters,
        gmac=round(gmac(model.architecture, model.settings, model.bands, *plan.size), 3),
        budget=plan.seconds,
        seconds=round(clock.pace(0) * config.learning.steps, 1),
        steps=config.learning.steps,
        learning_rate=config.learning_rate,
        mrae=round(score.mrae, 4),
        rmse=round(score.rmse, 4),
        sam=round(score.sam, 2),
        reconstruction_seconds=round(seconds, 2),
        reconstruction_mb=round(memory, 1),
    )


def photograph(plan: Plan) -> None:
    """Make the missing photos of the held-out scenes."""
    from napari_drcr.camera.simulation import simulate

    (plan.out / "rgb").mkdir(parents=True, exist_ok=True)
    for scene in find_scenes(plan.data):
        if scene.held_back and not (image := plan.out / "rgb" / f"{scene.name}.jpg").exists():
            simulate(scene.cube, image, "photo")


def make_scenes(folder: Path) -> None:
    """Small synthetic scenes, to try the comparison out."""
    from napari_drcr.camera.sample import synthetic_scene
    from napari_drcr.io import write_cube

    for side, seed in (("Train_spectral", 1), ("Train_spectral", 2), ("Valid_spectral", 3)):
        path = folder / side / f"scene_{seed}.mat"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_cube(path, synthetic_scene(64, 96, seed=seed))


def read_rows(path: Path) -> list[Row]:
    """Rows of a table that is there, else none."""
    if not path.is_file():
        return []
    kinds: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float}
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(**{each.name: kinds[str(each.type)](row[each.name]) for each in fields(Row)}) for row in csv.DictReader(file)
        ]


def write_rows(path: Path, rows: list[Row]) -> None:
    """Replace the table."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def markdown(rows: list[Row]) -> str:
    """The table for the documentation, the best first."""
    head = ["network", "year", "parameters", "GMAC", "steps", metric_name("mrae", FLOOR), "RMSE", "SAM (°)", "CPU s", "MB"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in sorted(rows, key=lambda row: row.mrae):
        title = row.title if row.preset == SMALL else f"{row.title}, {row.preset}"
        cells = [
            title,
            row.year,
            f"{row.parameters:,}",
            f"{row.gmac:.1f}",
            f"{row.steps:,}",
            f"{row.mrae:.3f}",
            f"{row.rmse:.4f}",
        ]
        cells += [f"{row.sam:.1f}", f"{row.reconstruction_seconds:.1f}", f"{row.reconstruction_mb:.0f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main(
    networks: Annotated[list[str] | None, typer.Argument(help="NETWORK or NETWORK:PRESET.", metavar="[NETWORK]...")] = None,
    folder: Annotated[Path | None, typer.Option(help="CAVE, in one of the layouts that training knows.")] = None,
    out: Annotated[Path, typer.Option(help="For runs, photos and peers.csv.")] = Path("peers"),
    seconds: Annotated[float, typer.Option(help="Processor time of each training.")] = 600.0,
    jobs: Annotated[int, typer.Option(help="Networks that are trained side by side.")] = 2,
    quick: Annotated[bool, typer.Option("--quick", help="A second each on small synthetic scenes, as a trial.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Only print the Markdown table of OUT/peers.csv.")] = False,
) -> None:
    """Train networks for equally long, and compare what they reach."""
    path = out.absolute() / "peers.csv"
    rows = read_rows(path)
    if table:
        print(markdown(rows))
        return
    if quick:
        make_scenes(out / "scenes")
        plan = Plan(out.absolute() / "scenes", out.absolute(), 1.0, patch=32, batch=2, size=(48, 64))
    elif folder is None:
        raise InputError("no data folder is given: name it with --folder.")
    else:
        plan = Plan(folder.absolute(), out.absolute(), seconds)
    if other := {row.budget for row in rows} - {plan.seconds}:
        raise InputError(f"{path} has rows of {other.pop():g} seconds, not {plan.seconds:g}; name another --out.")
    known = {(row.network, row.preset) for row in rows}
    waiting = [entry for entry in dict.fromkeys(networks or NETWORKS) if split(entry) not in known]
    for entry in waiting:
        configure(entry, plan, steps=1)  # what is wrong is said before anything is trained
    with notices_to(ignore_notice):
        photograph(plan)
    os.environ["OMP_NUM_THREADS"] = "1"  # taken over by the processes
    failed = []
    with ProcessPoolExecutor(jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
        tasks = {pool.submit(train, entry, plan): entry for entry in waiting}
        for task in as_completed(tasks):
            entry = tasks[task]
            try:
                rows.append(task.result())
            except Exception as error:  # The others go on.
                failed.append(entry)
                traceback.print_exception(error)
                continue
            write_rows(path, rows)
            print(f"{entry}: {rows[-1].steps} steps, {metric_name('mrae', FLOOR)} {rows[-1].mrae:.4f}", flush=True)
    print(markdown(rows))
    if failed:
        sys.exit(f"not trained: {', '.join(failed)}.")


if __name__ == "__main__":
    try:
        typer.run(main)
    except InputError as error:
        sys.exit(f"Error: {error}")
