"""How well statistics of colour and texture tell what is unlike the images that a model learned from, and where errors are larger.

usage: python benchmarks/familiarity.py CONFIG.yaml --folder CAVE --reflectances LIBRARY

CAVE is one folder of .mat files, LIBRARY holds the collections of measured reflectances; CONFIG is a training configuration, whose
samples are described fold by fold as in folds.py. With --add MODEL.safetensors the statistics are written to a model of that configuration.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from folds import FOLDS, TEST_ONLY, Plan, collections, configure, fit_map
from PIL import Image, ImageDraw
from scipy.stats import spearmanr

from napari_drcr.camera import find_camera
from napari_drcr.camera.charts import chart_of
from napari_drcr.cubes.colorimetry import decode_srgb, encode_srgb
from napari_drcr.cubes.cube import UNFAMILIARITY, WAVELENGTHS
from napari_drcr.errors import InputError, ignore_notice, notices_to
from napari_drcr.inference.familiarity import unfamiliarity
from napari_drcr.inference.reconstruction import reconstruct
from napari_drcr.models.familiarity import BLOCK, FAR, Familiarity, calibrate, describe_blocks
from napari_drcr.models.store import Model, add_familiarity, load_model
from napari_drcr.training.data import Patches, Photographs
from napari_drcr.training.familiarity import learned_blocks
from napari_drcr.training.reflectances import read_reflectances
from napari_drcr.training.scenes import cache_scenes

FLOOR = 0.01
BRIGHT = 0.05
"""Mean linear RGB of bright blocks: in dark ones relative errors are large, however familiar they are."""
SQUARE = 4 * BLOCK
"""Pixels of a square of a chart: so large that most blocks hold a single material."""
SQUARES = 100
"""Of a chart, spread over the collection."""
BUNDLED = ("astronaut", "chelsea", "coffee", "rocket", "retina", "immunohistochemistry", "hubble_deep_field", "logo")
"""Of scikit-image; the logo without its alpha."""
GRAY = ("page", "text", "camera", "moon", "grass", "brick", "gravel", "coins", "cell")
"""The same, grayscale."""

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Held:
    """What a fold does not learn from.

    Parameters
    ----------
    names : list of str
        Of its scenes.
    images, cubes : list of ndarray
        Linear RGB (3, y, x) and reflectance (31, y, x).
    """

    names: list[str]
    images: list[Float32Array]
    cubes: list[Float32Array]


def samples_of(config: Path, fold: int, plan: Plan) -> tuple[Patches, Held]:
    """The samples of a fold, and what it does not learn from; fold 0 learns from everything."""
    run = configure(config, fold or 1, plan, steps=1)
    if not fold and run.reflectances.share:
        run = run.model_copy(update={"reflectances": run.reflectances.model_copy(update={"left_out": (TEST_ONLY,)})})
    training, validation = cache_scenes(run.data)
    patches = Patches(training if fold else training + validation, run, read_reflectances(run.reflectances))
    pairs = list(Photographs(validation, find_camera(run.camera.name)))
    images, cubes = ([values.numpy() for values in part] for part in zip(*pairs, strict=True))
    return patches, Held([scene.name for scene in validation], images, cubes)


def measure(config: Path, fold: int, plan: Plan) -> tuple[Familiarity, dict[int, tuple[Familiarity, Held]]]:
    """The statistics of a model that did not learn from a fold, calibrated on all folds; and those of all, with what they held back."""
    held: dict[int, Held] = {}
    learned: dict[int, npt.NDArray[np.float64]] = {}
    for number in FOLDS:
        patches, held[number] = samples_of(config, number, plan)
        learned[number] = learned_blocks(patches)
    if fold not in FOLDS:
        learned[fold] = learned_blocks(samples_of(config, fold, plan)[0])
    sets = [(learned[number], [describe_blocks(image) for image in held[number].images]) for number in FOLDS]
    own = {number: calibrate(blocks, sets) for number, blocks in learned.items()}
    found = {number: each for number, each in own.items() if each is not None}
    if len(found) < len(own):
        raise InputError(f"{config} has too few samples.")
    return found[fold], {number: (found[number], held[number]) for number in FOLDS}


def chart(spectra: Float32Array) -> Float32Array:
    """Linear RGB (3, y, x) of a chart of up to `SQUARES` reflectances, as the camera `photo` takes it."""
    camera = find_camera("photo")
    some = spectra[:: -(-len(spectra) // SQUARES)]
    linear = np.tensordot(chart_of(some, SQUARE).values, camera.response(WAVELENGTHS, "reflectance"), axes=(0, 0))
    return camera.decode(np.moveaxis(camera.develop(linear, np.random.default_rng(0)), -1, 0))


def unlike_images() -> Iterator[tuple[str, Float32Array]]:
    """Names and linear RGB (3, y, x) of images that are no still lifes."""
    import skimage.data

    for name in BUNDLED + GRAY:
        pixels = np.asarray(getattr(skimage.data, name)())
        yield name, _linear(pixels[..., :3] if pixels.ndim == 3 else np.stack([pixels] * 3, axis=-1))
    random = np.random.default_rng(0)
    yield "noise, 8 bit, even", _linear(random.integers(0, 256, (512, 512, 3), dtype=np.uint8))
    yield "noise, linear, normal", np.clip(random.normal(0.3, 0.2, (3, 512, 512)), 0, 1).astype(np.float32)
    yield "windows on a screen", _linear(_screen(random))
    yield "line drawing", _linear(_drawing(random))


def _linear(pixels: npt.NDArray[np.uint8]) -> Float32Array:
    return np.ascontiguousarray(np.moveaxis(decode_srgb(pixels.astype(np.float32) / 255), -1, 0))


def _screen(random: np.random.Generator) -> npt.NDArray[np.uint8]:
    image = Image.new("RGB", (768, 512), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 768, 40), fill=(0, 120, 215))
    colours = ("red", "lime", "blue", "yellow", "magenta", "cyan", "orange", "purple")
    for number, colour in enumerate(colours):
        left, top = 30 + number % 4 * 170, 100 + number // 4 * 150
        draw.rectangle((left, top, left + 150, top + 120), fill=colour)
    for left, top in random.integers((20, 420), (700, 500), (400, 2)):
        draw.rectangle((left, top, left + 4, top + 5), fill=(30, 30, 30))
    return np.asarray(image)


def _drawing(random: np.random.Generator) -> npt.NDArray[np.uint8]:
    image = Image.new("RGB", (512, 512), "white")
    for points in random.integers(0, 512, (60, 3, 2)):
        ImageDraw.Draw(image).line([(int(x), int(y)) for x, y in points], fill="black", width=2)
    return np.asarray(image)


def _times(*gains: float) -> Callable[[Float32Array], Float32Array]:
    return lambda image: np.clip(image * np.array(gains, np.float32)[:, None, None], 0, 1)


CHANGES: dict[str, Callable[[Float32Array], Float32Array]] = {
    "negative": lambda image: decode_srgb(1 - encode_srgb(image).astype(np.float32)),
    "linear values shown as if sRGB": decode_srgb,
    "sRGB values taken as linear": lambda image: encode_srgb(image).astype(np.float32),
    "warm cast (gains 1.7, 1, 0.45)": _times(1.7, 1, 0.45),
    "cold cast (gains 0.6, 1, 1.6)": _times(0.6, 1, 1.6),
    "green cast (gains 0.6, 1, 0.6)": _times(0.6, 1, 0.6),
    "exposure 4": _times(4, 4, 4),
    "exposure 0.25": _times(0.25, 0.25, 0.25),
}
"""What is done to held-out scenes."""


def block_errors(truth: Float32Array, estimate: Float32Array) -> npt.NDArray[np.float64]:
    """MRAE of whole blocks; NaN where nothing is as bright as the floor."""
    counted = truth >= FLOOR
    errors = np.where(counted, np.abs(truth - estimate) / np.maximum(truth, FLOOR), 0)
    totals, counts = (_whole_blocks(values).sum(axis=(0, 2, 4), dtype=np.float64) for values in (errors, counted))
    with np.errstate(invalid="ignore"):
        return np.asarray(totals / counts)


def _whole_blocks(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    rows, columns = (side // BLOCK for side in values.shape[1:])
    return values[:, : rows * BLOCK, : columns * BLOCK].reshape(-1, rows, BLOCK, columns, BLOCK)


def scene_row(image: Float32Array, cube: Float32Array, model: Model) -> list[float]:
    """Share of unfamiliar blocks; MRAE of these and of the others, and its rank correlation with the distance: of all blocks, and of bright ones."""
    estimate = reconstruct(np.moveaxis(image, 0, -1), model, encoding="linear", device="cpu", precision="fp32")
    errors = block_errors(cube, estimate.values)
    nearer = _whole_blocks(estimate[UNFAMILIARITY].values[None])[0, :, 0, :, 0]
    far = nearer > FAR
    figures = [float(far.mean())]
    for counted in (np.isfinite(errors), _whole_blocks(image).mean(axis=(0, 2, 4)) >= BRIGHT):
        parts = [counted & far, counted & ~far]
        figures += [float(errors[part].mean()) if part.any() else np.nan for part in parts]
        figures.append(float(spearmanr(nearer[counted], errors[counted]).statistic))
    return figures


def print_errors(found: dict[int, tuple[Familiarity, Held]], plan: Plan) -> None:
    """Whether errors are larger in unfamiliar blocks of held-out scenes."""
    photo = load_model("photo")
    kinds = ("MRAE unfamiliar", "familiar", "rho")
    _print(["held-out scene", "unfamiliar", *kinds, *(f"{kind}, bright" for kind in kinds)])
    rows: dict[str, list[list[float]]] = {"polynomial": [], "photo": []}
    for number, (familiarity, held) in found.items():
        polynomial = fit_map("polynomial", number, plan)
        for model in (polynomial, photo) if number == 1 else (polynomial,):
            for name, image, cube in zip(held.names, held.images, held.cubes, strict=True):
                figures = scene_row(image, cube, replace(model, familiarity=familiarity))
                rows[model.name].append(figures)
                _print_figures(f"{name}, {model.name}", figures)
    for title, figures_of in rows.items():
        _print_figures(f"mean, {title}", [fmean(column[~np.isnan(column)]) for column in np.array(figures_of).T])


def print_shares(whole: Familiarity, found: dict[int, tuple[Familiarity, Held]], plan: Plan) -> None:
    """How much of which images is unfamiliar."""
    _print(["image", "unfamiliar", "called unlike"])
    _print_shares("held-out scenes", [_share(image, found[n][0]) for n in FOLDS for image in found[n][1].images], whole)
    spectra = collections(plan)
    for number, fold in FOLDS.items():
        for name in filter(None, (fold.collection or TEST_ONLY,)):
            _print_shares(f"chart of {name}", [_share(chart(spectra[name]), found[number][0])], whole)
    for title, change in CHANGES.items():
        shares = [_share(change(image), familiarity) for familiarity, held in found.values() for image in held.images]
        _print_shares(f"held-out scenes, {title}", shares, whole)
    for name, image in unlike_images():
        _print_shares(name, [_share(image, found[1][0])], whole)


def _share(image: Float32Array, familiarity: Familiarity) -> float:
    model = replace(load_model("linear"), familiarity=familiarity)
    share: float = unfamiliarity(np.moveaxis(image, 0, -1), model, encoding="linear").attrs["unfamiliar_share"]
    return share


def _print_shares(name: str, shares: list[float], whole: Familiarity) -> None:
    unlike = sum(share > whole.limit for share in shares)
    _print([name, f"{fmean(shares):.0%}", f"{unlike} of {len(shares)}" if len(shares) > 1 else "yes" if unlike else "no"])


def _print_figures(name: str, figures: list[float]) -> None:
    _print([name, f"{figures[0]:.0%}", *("" if np.isnan(figure) else f"{figure:.3f}" for figure in figures[1:])])


def _print(cells: list[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def main(
    config: Annotated[Path, typer.Argument(help="Training configuration.")],
    folder: Annotated[Path, typer.Option(help="CAVE, in one folder of .mat files.")],
    reflectances: Annotated[Path, typer.Option(help="Library with the collections.")],
    add: Annotated[Path | None, typer.Option(help="Only write the statistics to this model.", metavar="MODEL")] = None,
    fold: Annotated[int, typer.Option(help="What that model did not learn from; 0 if it learned from everything.")] = 1,
) -> None:
    """Measure, or write statistics to a model."""
    plan = Plan(folder.absolute(), reflectances.absolute(), Path("familiarity").absolute(), 0)
    with notices_to(ignore_notice):
        if add is not None:
            add_familiarity(add, measure(config, fold, plan)[0])
        else:
            whole, found = measure(config, 1, plan)
            print(f"An image is called unlike from {whole.limit:.0%} unfamiliar blocks on.\n")
            print_errors(found, plan)
            print()
            print_shares(whole, found, plan)


if __name__ == "__main__":
    try:
        typer.run(main)
    except InputError as error:
        sys.exit(f"Error: {error}")
