"""Train configurations fold by fold, and score each on scenes and on measured reflectances that it has not seen.

usage: python benchmarks/folds.py --folder CAVE --reflectances LIBRARY.npz --out OUT [--folds 1,2] CONFIG.yaml ...

Each fold holds back some of CAVE's 24 scenes and leaves out one collection of reflectances, so that five runs tell of all scenes and all
collections; the collection `TEST_ONLY` is never learned from. A configuration whose `reflectances.share` is 0 learns from scenes only.
Collections are scored as charts, see `napari_drcr.camera.charts.chart_of`; scenes and charts are photographed as by
`napari-drcr simulate --camera photo`.

Every run has the same processor time, with one thread (see `equal_time`); nothing is selected on what is held back: the averaged weights
of the last step are scored. Beside the configurations, both per-pixel maps are fitted to the same data, as `linear` and `polynomial`.

OUT/folds.csv gets its rows as soon as a run is done, and runs that have theirs are skipped: an interrupted comparison goes on where it
stopped. OUT/CONFIG/fold-N holds the run with its model file. `--table` prints the table of OUT/folds.csv.
"""

from __future__ import annotations

import csv
import os
import shutil
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
import xarray as xr
from equal_time import Clock, find_steps

from napari_drcr.analysis.metrics import error_curve, metric_name, mrae, rmse, sam
from napari_drcr.cubes.cube import WAVELENGTHS, align
from napari_drcr.errors import InputError, ignore_notice, notices_to
from napari_drcr.models.pixel_map import FEATURES
from napari_drcr.models.store import Model, load_model, save_model
from napari_drcr.system.files import atomic_path
from napari_drcr.training.config import make_config, read_content
from napari_drcr.training.sections import TrainingConfig

FLOOR = 0.01
TEST_ONLY = "macbeth"
"""A collection that is never learned from."""
SIDE = 24
"""Pixels of a square of a chart."""
MAPS_RECIPE = Path(__file__).parents[1] / "configs" / "photo-drcr.yaml"
"""Scenes and camera of the per-pixel maps."""


@dataclass(frozen=True)
class Fold:
    """What a run does not learn from.

    Parameters
    ----------
    scenes : tuple of str
    collection : str
        Besides `TEST_ONLY`; empty for none.
    """

    scenes: tuple[str, ...]
    collection: str = ""


FOLDS = {
    1: Fold(("chart_and_stuffed_toy", "fake_and_real_tomatoes", "flowers", "jelly_beans"), "vhrel"),
    2: Fold(("beads", "egyptian_statue", "fake_and_real_lemon_slices", "fake_and_real_lemons", "hairs"), "munsell"),
    3: Fold(("cd", "face", "paints", "photo_and_face", "sponges"), "dupont"),
    4: Fold(("clay", "cloth", "fake_and_real_beers", "fake_and_real_strawberries", "superballs"), "rawtoaces190"),
    5: Fold(("fake_and_real_food", "fake_and_real_sushi", "pompoms", "real_and_fake_peppers", "thread_spools")),
}
"""The first holds back the validation scenes of `photo`; scenes of the same objects are in one fold."""


@dataclass(frozen=True)
class Plan:
    """What all runs get.

    Parameters
    ----------
    folder : Path
        Of the scenes, without a split of its own.
    reflectances : Path
        Library of all collections.
    out : Path
        For runs and results.
    seconds : float
        Processor time of each training.
    """

    folder: Path
    reflectances: Path
    out: Path
    seconds: float


@dataclass(frozen=True)
class Row:
    """A score of a run on a scene or a collection that it has not seen.

    Parameters
    ----------
    configuration : str
    fold, seed, steps : int
    budget, seconds : float
        Processor seconds that were planned, and taken.
    world : str
        "scene" or "collection".
    name : str
        Of the scene or the collection.
    mrae, rmse, sam : float
        MRAE with a floor of `FLOOR`, SAM in degrees.
    bands : tuple of float
        MRAE band by band.
    """

    configuration: str
    fold: int
    seed: int
    steps: int
    budget: float
    seconds: float
    world: str
    name: str
    mrae: float
    rmse: float
    sam: float
    bands: tuple[float, ...]


def configure(path: Path, number: int, plan: Plan, steps: int, seed: int = 0) -> TrainingConfig:
    """The run of a configuration in a fold."""
    content = read_content(path)
    content.get("learning", {}).pop("start_from", None)
    fold = FOLDS[number]
    libraries: dict[str, Any] = {}
    if content.get("reflectances", {}).get("share"):
        left_out = tuple(name for name in (fold.collection, TEST_ONLY) if name)
        libraries = {"reflectances__files": (plan.reflectances,), "reflectances__left_out": left_out}
    return make_config(
        content,
        name=path.stem,
        seed=seed,
        device="cpu",
        data__folder=plan.folder,
        data__validation=fold.scenes,
        learning__steps=steps,
        learning__validate_every=steps,
        learning__warmup_steps=round(steps / 60),
        **libraries,
    )


def collections(plan: Plan) -> dict[str, npt.NDArray[np.float32]]:
    """The spectra of each collection, at the bands of the models."""
    from napari_drcr.training.reflectances import read_reflectances
    from napari_drcr.training.sections import ReflectancesConfig

    # With a share of 0, nothing would be read.
    found = read_reflectances(ReflectancesConfig(files=(plan.reflectances,), share=0.5))
    assert found is not None
    return dict(zip(found.collections, found.by_collection(), strict=True))


def held_back(number: int) -> list[tuple[str, str]]:
    """World and name of what a fold is scored on."""
    fold = FOLDS[number]
    charts = [name for name in (fold.collection, TEST_ONLY) if name]
    return [("scene", name) for name in fold.scenes] + [("collection", name) for name in charts]


def truth_of(world: str, name: str, plan: Plan) -> xr.DataArray:
    """The cube of a scene, or a chart of a collection."""
    from napari_drcr.camera.charts import chart_of
    from napari_drcr.io import read_cube

    if world == "scene":
        return read_cube(plan.folder / f"{name}.mat")
    return chart_of(collections(plan)[name], SIDE)


def photo_of(world: str, name: str, plan: Plan) -> Path:
    """Where the photo of a scene or a chart is."""
    return plan.out / "photos" / f"{world}-{name}.jpg"


def photograph(numbers: list[int], plan: Plan) -> None:
    """Make the photos that are missing."""
    from napari_drcr.camera.simulation import simulate

    (plan.out / "photos").mkdir(parents=True, exist_ok=True)
    for world, name in dict.fromkeys(each for number in numbers for each in held_back(number)):
        if not (photo := photo_of(world, name, plan)).exists():
            simulate(truth_of(world, name, plan), photo, "photo")


def train(path: Path, number: int, seed: int, steps: int, plan: Plan) -> list[Row]:
    """Train and score one run; the work of a process of its own.

    Parameters
    ----------
    path : Path
        A configuration, or the name of a map.
    number : int
        Of the fold.
    seed, steps : int
        Of the run.
    plan : Plan

    Returns
    -------
    list of Row
    """
    from napari_drcr.training.run import start_run

    folder = run_folder(path, number, seed, plan)
    shutil.rmtree(folder, ignore_errors=True)  # of a comparison that was interrupted
    with notices_to(ignore_notice):
        if is_map(path):
            model, seconds = fit_map(path.stem, number, plan), 0.0
            folder.mkdir(parents=True)
            save_model(folder / "model.safetensors", model)
        else:
            clock = Clock()
            model = load_model(start_run(configure(path, number, plan, steps, seed), folder, progress=clock))
            seconds = clock.pace(0) * steps
        about = (path.stem, number, seed, steps, plan.seconds, round(seconds, 1))
        return [Row(*about, world, name, *score(model, world, name, plan)) for world, name in held_back(number)]


def is_map(path: Path) -> bool:
    """Whether a per-pixel map is meant, not a file."""
    return str(path) in FEATURES


def fit_map(kind: str, number: int, plan: Plan) -> Model:
    """A per-pixel map, fitted to the scenes and collections of a fold."""
    from fit_baselines import fit

    without = (FOLDS[number].collection, TEST_ONLY)
    spectra = [each for name, each in collections(plan).items() if name not in without]
    return fit(configure(MAPS_RECIPE, number, plan, 1), kind, spectra)


def score(model: Model, world: str, name: str, plan: Plan) -> tuple[float, float, float, tuple[float, ...]]:
    """MRAE, RMSE, SAM, and MRAE band by band."""
    from napari_drcr.inference.preparation import read_prepared
    from napari_drcr.inference.reconstruction import Estimator
    from napari_drcr.system.steps import run_to_end

    estimator = Estimator(model, device="cpu", precision="fp32")
    estimate = run_to_end(estimator.iter_estimate(read_prepared(photo_of(world, name, plan), model)))
    truth, estimate = align(truth_of(world, name, plan), estimate)
    bands = tuple(round(float(value), 5) for value in error_curve(truth, estimate, "mrae", FLOOR))
    figures = [round(metric, 5) for metric in (mrae(truth, estimate, FLOOR), rmse(truth, estimate), sam(truth, estimate))]
    return figures[0], figures[1], figures[2], bands


def run_folder(path: Path, number: int, seed: int, plan: Plan) -> Path:
    """Where a run goes."""
    return plan.out / path.stem / (f"fold-{number}" if seed == 0 else f"fold-{number}-seed-{seed}")


def planned_steps(path: Path, plan: Plan) -> int:
    """Steps of every run of a configuration: measured once, and kept beside its runs."""
    if is_map(path):
        return 0
    kept = plan.out / path.stem / "steps.txt"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with notices_to(ignore_notice):
            steps = find_steps(lambda steps: configure(path, 1, plan, steps), plan.seconds, kept.with_name("trial"))
        kept.write_text(f"{steps}\n", encoding="utf-8")
    return int(kept.read_text(encoding="utf-8"))


COLUMNS = [each.name for each in fields(Row)][:-1]
BANDS = [f"{nm:g} nm" for nm in WAVELENGTHS]


def read_rows(path: Path) -> list[Row]:
    """Rows of a table that is there, else none."""
    if not path.is_file():
        return []
    kinds = {"str": str, "int": int, "float": float}
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(
                **{each.name: kinds[str(each.type)](row[each.name]) for each in fields(Row)[:-1]},
                bands=tuple(float(row[band]) for band in BANDS),
            )
            for row in csv.DictReader(file)
        ]


def write_rows(path: Path, rows: list[Row]) -> None:
    """Replace the table."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *BANDS])
        for row in rows:
            *plain, bands = asdict(row).values()
            writer.writerow([*plain, *bands])


def table_of(rows: list[Row]) -> str:
    """The table for the documentation: means over scenes and over each collection; the last two columns are of scenes."""
    names = list(dict.fromkeys(row.name for row in rows if row.world == "collection"))
    head = [
        "configuration",
        "runs",
        "steps",
        "scenes",
        "RMSE",
        "SAM (°)",
        *names,
        "collections",
        "scenes, 400 nm",
        "scenes, 700 nm",
    ]
    lines = [f"{metric_name('mrae', FLOOR)}:", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.configuration, []).append(row)
    for configuration, own in sorted(found.items(), key=lambda item: fmean(r.mrae for r in item[1] if r.world == "scene")):
        scenes = [row for row in own if row.world == "scene"]
        charts = {name: [row.mrae for row in own if row.name == name] for name in names}
        apart = [fmean(values) for name, values in charts.items() if values and name != TEST_ONLY]
        edges = [fmean(row.bands[band] for row in scenes) for band in (0, -1)]
        cells = [
            configuration,
            str(len({(row.fold, row.seed) for row in own})),
            f"{own[0].steps:,}",
            f"{fmean(row.mrae for row in scenes):.4f}",
            f"{fmean(row.rmse for row in scenes):.4f}",
            f"{fmean(row.sam for row in scenes):.2f}",
            *(f"{fmean(values):.4f}" if values else "" for values in charts.values()),
            f"{fmean(apart):.4f}" if apart else "",
            *(f"{edge:.3f}" for edge in edges),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(
    configurations: Annotated[
        list[Path] | None, typer.Argument(help="Training configurations, or linear or polynomial for a per-pixel map.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="CAVE, in one folder of .mat files.")] = None,
    reflectances: Annotated[Path | None, typer.Option(help="Library with the collections.")] = None,
    out: Annotated[Path, typer.Option(help="For runs, photos and folds.csv.")] = Path("folds"),
    folds: Annotated[str, typer.Option(help="Numbers of folds, such as 1,2.")] = "1,2,3,4,5",
    seed: Annotated[int, typer.Option(help="Of the runs.")] = 0,
    seconds: Annotated[float, typer.Option(help="Processor time of each training.")] = 600.0,
    jobs: Annotated[int, typer.Option(help="Runs side by side.")] = 2,
    table: Annotated[bool, typer.Option("--table", help="Only print the table of OUT/folds.csv.")] = False,
) -> None:
    """Train configurations fold by fold, and score them on what they have not seen."""
    path = out.absolute() / "folds.csv"
    rows = read_rows(path)
    if table:
        print(table_of(rows))
        return
    if folder is None or reflectances is None:
        raise InputError("scenes or reflectances are missing: name them with --folder and --reflectances.")
    plan = Plan(folder.absolute(), reflectances.absolute(), out.absolute(), seconds)
    if other := {row.budget for row in rows} - {seconds}:
        raise InputError(f"{path} has rows of {other.pop():g} seconds, not {seconds:g}; name another --out.")
    numbers = [int(number) for number in folds.split(",")]
    known = {(row.configuration, row.fold, row.seed) for row in rows}
    paths = configurations or []
    for each in paths:
        if not is_map(each):
            configure(each, 1, plan, steps=1)  # what is wrong is said before anything is trained
    with notices_to(ignore_notice):
        photograph(numbers, plan)
    os.environ["OMP_NUM_THREADS"] = "1"  # taken over by the processes
    failed = []
    with ProcessPoolExecutor(jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
        pending = [each for each in paths if any((each.stem, number, seed) not in known for number in numbers)]
        steps = dict(zip(pending, pool.map(planned_steps, pending, [plan] * len(pending)), strict=True))
        tasks = {
            pool.submit(train, each, number, seed, steps[each], plan): f"{each.stem}, fold {number}"
            for number in numbers
            for each in pending
            if (each.stem, number, seed) not in known
        }
        for task in as_completed(tasks):
            try:
                rows += task.result()
            except Exception as error:  # The others go on.
                failed.append(tasks[task])
                traceback.print_exception(error)
                continue
            write_rows(path, rows)
            print(f"{tasks[task]}: {', '.join(f'{row.name} {row.mrae:.4f}' for row in task.result())}", flush=True)
    print(table_of(rows))
    if failed:
        sys.exit(f"not trained: {'; '.join(failed)}.")


if __name__ == "__main__":
    try:
        typer.run(main)
    except InputError as error:
        sys.exit(f"Error: {error}")
