"""Score models under many conditions: compression, noise, exposures, foreign cameras; or lamps, for models of the NTIRE 2022 camera.

The validation scenes are the cubes in DATA/Valid_spectral. For every condition they are photographed as by `napari-drcr simulate`,
and every model is scored as by `napari-drcr evaluate`. Images, conditions.md and conditions.json are written to OUT; existing images are
reused. Add a line to the tables below for a further condition.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from napari_drcr.analysis.evaluation import Evaluation, evaluate
from napari_drcr.analysis.metrics import metric_name
from napari_drcr.camera import Camera, find_camera
from napari_drcr.camera.simulation import simulate
from napari_drcr.errors import InputError, Notice
from napari_drcr.io import find_cubes, read_rgb
from napari_drcr.models.store import Model, load_model, rewrite_card
from napari_drcr.system.files import atomic_path

FOREIGN = Path(__file__).parent / "cameras"
SCENES = "Valid_spectral"
FLOOR = 0.01
FIGURES = ("mrae", "rmse", "sam", "psnr", "flip_correlation")


@dataclass(frozen=True)
class Condition:
    """How the images of one row are made.

    Parameters
    ----------
    name : str
        Name of the row.
    camera : str or Path
        See `napari_drcr.camera.find_camera`.
    settings : mapping
        Settings of the camera that differ from its own.
    light : str or None
        Light applied to the scenes first.
    images : str or None
        Folder of DATA with images to use instead of simulated ones.
    ensemble : bool
        Whether networks average over flips and turns.
    """

    name: str
    camera: str | Path = "photo"
    settings: Mapping[str, Any] = field(default_factory=dict)
    light: str | None = None
    images: str | None = None
    ensemble: bool = False

    @property
    def made_by(self) -> Camera:
        """The camera with its settings."""
        return find_camera(self.camera).with_settings(**self.settings)


@dataclass(frozen=True)
class Table:
    """Conditions that the same models can be scored under.

    Parameters
    ----------
    conditions : tuple of Condition
        The rows.
    protocol, encoding : str
        As for `napari_drcr.analysis.evaluation.evaluate`.
    """

    conditions: tuple[Condition, ...]
    protocol: str
    encoding: str


FINISHED = {"encoding": "srgb", "jpeg_quality": 90}

TABLES = {
    "photo": Table(
        (
            Condition("JPEG 90"),
            Condition("JPEG 50", settings={"jpeg_quality": 50}),
            Condition("noise", settings={"photo_electrons": 1000, "read_noise": 5}),
            Condition("exposure 0.5", settings={"exposure": 0.5}),
            Condition("exposure 2", settings={"exposure": 2}),
            Condition("Canon EOS 5D Mark II", FOREIGN / "canon-eos-5d-mark-ii.csv", FINISHED),
            Condition("Nikon D700", FOREIGN / "nikon-d700.csv", FINISHED),
            Condition("Sony ILCE-7M3", FOREIGN / "sony-ilce-7m3.csv", FINISHED),
            Condition("Insta360 X5", FOREIGN / "arashi-vision-insta360-x5.csv", FINISHED),
            Condition("authors' images", images="Valid_RGB"),
            Condition("JPEG 90, self-ensemble", ensemble=True),
        ),
        protocol="full",
        encoding="srgb",
    ),
    "ntire2022": Table(
        tuple(Condition(f"under {light}", "ntire2022", light=light) for light in ("D65", "D50", "A", "FL2", "LED-B3")),
        protocol="ntire2022",
        encoding="linear",
    ),
}


def photographed(condition: Condition, data: Path, out: Path) -> tuple[Path, Path]:
    """Make the missing images of a condition.

    Parameters
    ----------
    condition : Condition
        Its camera and light.
    data, out : Path
        DATA and OUT.

    Returns
    -------
    tuple of (Path, Path)
        The folders of images and of true cubes: the scenes themselves, unless light or exposure changes them.
    """
    scenes = data / SCENES
    if condition.images is not None:
        return data / condition.images, scenes
    camera = condition.made_by
    changed = condition.light is not None or (camera.keeps_scale and camera.exposure != 1)
    # The folder's name depends on everything that affects the images, so that outdated ones are never reused.
    mark = hashlib.sha256(repr((camera, condition.light, scenes.resolve())).encode()).hexdigest()[:8]
    folder = out / f"{condition.name.lower().replace(',', '').replace(' ', '-')}-{mark}"
    images, cubes = folder / "rgb", folder / "cubes" if changed else scenes
    for made in (images, cubes):
        made.mkdir(parents=True, exist_ok=True)
    for scene in find_cubes(scenes):
        name = scene.name.removesuffix("_ms") if scene.is_dir() else scene.stem
        # The image is written last: if it exists, so does its cube.
        if not (image := images / f"{name}{camera.suffix}").exists():
            simulate(scene, image, camera, light=condition.light, truth=cubes / f"{name}.mat" if changed else None)
    return images, cubes


def clipped_share(result: Evaluation, images: Path) -> float:
    """Mean share of pixels with a channel at 255, over the scored images."""
    scored = {score.name for score in result.scores}
    return fmean(float((read_rgb(path) == 255).any(-1).mean()) for path in images.iterdir() if path.stem in scored)


def markdown(rows: Mapping[str, Mapping[str, Evaluation]], clipped: Mapping[str, float], models: list[str]) -> str:
    """The tables: a row for each condition, a column for each model."""

    def table(title: str, cell: Any) -> list[str]:
        head = [f"| {title} | clipped | {' | '.join(f'`{name}`' for name in models)} |", f"|{' --- |' * (len(models) + 2)}"]
        cells = {row: " | ".join(cell(found[name].mean) for name in models) for row, found in rows.items()}
        return [*head, *(f"| {row} | {clipped[row]:.1%} | {text} |" for row, text in cells.items())]

    return "\n".join(
        [
            *table(metric_name("mrae", FLOOR), lambda mean: f"{mean.mrae:.4f}"),
            "",
            *table("RMSE; SAM (°)", lambda mean: f"{mean.rmse:.4f}; {mean.sam:.1f}"),
            "",
            "Clipped is the mean share of pixels with a channel at 255. Values beyond are lost for every model, but count in full.",
            "",
        ]
    )


def record(rows: Mapping[str, Mapping[str, Evaluation]], clipped: Mapping[str, float], models: Mapping[str, Model]) -> str:
    """All scores as JSON, by scene, with floor and model hashes."""
    found = {
        row: {
            "clipped": clipped[row],
            "models": {
                name: {score.name: {key: getattr(score, key) for key in FIGURES} for score in scores}
                for name, result in each.items()
                for scores in [(*result.scores, result.mean)]
            },
        }
        for row, each in rows.items()
    }
    hashes = {name: model.sha256 for name, model in models.items()}
    return json.dumps({"floor": FLOOR, "sha256": hashes, "conditions": found}, indent=1) + "\n"


def main(
    data: Annotated[Path, typer.Argument(help="Folder with the true cubes in Valid_spectral.")],
    out: Annotated[Path, typer.Argument(help="Folder for images and tables.")],
    models: Annotated[str, typer.Option(help="Shipped models or files, separated by commas.")] = "photo,polynomial,linear",
    conditions: Annotated[str, typer.Option(help="photo, or ntire2022 for models of that camera's linear images.")] = "photo",
    card: Annotated[
        list[Path] | None,
        typer.Option(help="Replace the scores on the card of this file, which is one of the models."),
    ] = None,
) -> None:
    """Score models under many conditions, and tabulate the scores."""
    warnings.simplefilter("once", Notice)
    if conditions not in TABLES:
        raise InputError(f"there are no conditions {conditions!r}; there are {', '.join(TABLES)}.")
    table = TABLES[conditions]
    if not (data / SCENES).is_dir():
        raise InputError(f"{data} has no folder {SCENES} with the true cubes.")
    loaded: dict[str, Model] = {}
    for model in map(load_model, models.split(",")):
        if model.name in loaded:
            raise InputError(f"two of the models are called {model.name!r} on their cards; leave out one.")
        loaded[model.name] = model
    cards = {path: load_model(path) for path in card or ()}
    for path, model in cards.items():
        if model.sha256 not in {known.sha256 for known in loaded.values()}:
            raise InputError(f"{path} is none of the models {models}; add it to them.")
    rows: dict[str, dict[str, Evaluation]] = {}
    clipped: dict[str, float] = {}
    for condition in table.conditions:
        if condition.images is not None and not (data / condition.images).is_dir():
            print(f"{condition.name}: skipped, there is no folder {data / condition.images}.")
            continue
        images, cubes = photographed(condition, data, out)
        rows[condition.name] = {}
        for name, model in loaded.items():
            # Per-pixel maps would issue a notice that flips cannot disagree.
            ensemble = condition.ensemble and model.channels is not None
            result = evaluate(
                images, cubes, model, protocol=table.protocol, floor=FLOOR, encoding=table.encoding, ensemble=ensemble
            )
            if result.skipped:
                scene, reason = next(iter(result.skipped.items()))
                raise InputError(f"{condition.name}: scene {scene} cannot be scored, so the mean would be incomplete: {reason}")
            rows[condition.name][name] = result
            print(f"{condition.name}, {name}: {metric_name('mrae', FLOOR)} {result.mean.mrae:.4f}", flush=True)
        clipped[condition.name] = clipped_share(result, images)
        # After every row, so that an interrupted run keeps its results.
        for suffix, text in ((".md", markdown(rows, clipped, list(loaded))), (".json", record(rows, clipped, loaded))):
            with atomic_path(out / f"conditions{suffix}") as temporary:
                temporary.write_text(text, encoding="utf-8")
    print(markdown(rows, clipped, list(loaded)))
    for path, model in cards.items():
        means = {row: found[model.name].mean for row, found in rows.items()}
        figures = {f"{row}: {metric_name('mrae', FLOOR)}": round(mean.mrae, 4) for row, mean in means.items()}
        figures |= {
            f"{row}: rank correlation of flip disagreement with the error": round(mean.flip_correlation, 2)
            for row, mean in means.items()
            if mean.flip_correlation is not None
        }
        rewrite_card(path, model.card.model_copy(update={"scores": figures}))
        print(path)


if __name__ == "__main__":
    try:
        typer.run(main)
    except InputError as error:
        sys.exit(f"Error: {error}")
