"""Fit the per-pixel maps `linear` and `polynomial`, the baselines for a network, and write them with their cards.

usage: python benchmarks/fit_baselines.py CONFIG.yaml DATA OUT

CONFIG and DATA are those of the network: same scenes, same camera, same lights, same held-out scenes. Where it learns from measured
reflectances, they make up `SHARE` of the pixels.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.analysis.metrics import mrae
from napari_drcr.camera import Camera, find_camera
from napari_drcr.camera.charts import chart_of
from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.models.pixel_map import FEATURES, fit_pixel_map
from napari_drcr.models.store import Model, save_model
from napari_drcr.training.config import read_config
from napari_drcr.training.data import Photographs
from napari_drcr.training.reflectances import read_reflectances
from napari_drcr.training.run import draft_card
from napari_drcr.training.scenes import Scene, cache_scenes
from napari_drcr.training.sections import TrainingConfig

PIXELS_PER_SCENE = 20_000
SHARE = 0.3
"""Of measured reflectances among the pixels."""
FLOOR = 0.01

Pair = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def fit(config: TrainingConfig, kind: str, reflectances: Sequence[npt.NDArray[np.float32]] = ()) -> Model:
    """Fit a map to the training scenes of a configuration, and score it on the held-out ones.

    Parameters
    ----------
    config : TrainingConfig
        Of the network that it is the baseline for.
    kind : {"linear", "polynomial"}
        Which map.
    reflectances : sequence of ndarray, shape (n, 31)
        Collections of measured reflectances, which are learned from too, in like numbers: as charts, photographed by the camera.

    Returns
    -------
    Model
        Its card says what it is, and its mean MRAE on the held-out scenes.
    """
    camera = find_camera(config.camera.name)
    training, validation = cache_scenes(config.data)
    random = np.random.default_rng(config.seed)
    lightings: list[tuple[str, ...]] = [(light,) for light in config.data.lights] or [()]

    def pairs(scenes: list[Scene]) -> Iterator[Pair]:
        for lights in lightings:
            for rgb, cube in Photographs(scenes, camera, lights):
                yield rgb.numpy(), cube.numpy()

    def sample(pair: Pair, count: int) -> Pair:
        rgb, cube = (values.reshape(len(values), -1).T for values in pair)
        chosen = random.choice(len(rgb), count, replace=count > len(rgb))
        return rgb[chosen], cube[chosen]

    samples = [sample(pair, PIXELS_PER_SCENE // len(lightings)) for pair in pairs(training)]
    if reflectances:
        count = round(SHARE / (1 - SHARE) * len(samples) * len(samples[0][0]) / len(reflectances))
        samples += [sample(photographed(chart_of(spectra), camera, random), count) for spectra in reflectances]
    fitted = fit_pixel_map(kind, samples, floor=FLOOR)
    scores = [mrae(cube, fitted.apply(np.moveaxis(rgb, 0, -1)), floor=FLOOR) for rgb, cube in pairs(validation)]
    mixed = f" and {SHARE:.0%} measured reflectances" if reflectances else ""
    about = {
        "name": kind if config.name == "photo" else f"{config.name}-{kind}",
        "architecture": "pixel_map",
        "settings": {"kind": kind},
        "recipe": f"{PIXELS_PER_SCENE} pixels a scene{mixed}, camera {camera.name}, iteratively re-weighted to the relative error",
        "limits": "One pixel at a time: it knows neither neighbours nor materials. What a network must beat.",
        "scores": {f"validation MRAE@{FLOOR:g}": round(float(np.mean(scores)), 4)},
    }
    return Model(draft_card(config, training, validation).model_copy(update=about), fitted)


def photographed(chart: xr.DataArray, camera: Camera, random: np.random.Generator) -> Pair:
    """RGB as a model takes it, and the cube."""
    linear = np.tensordot(chart.values, camera.response(WAVELENGTHS, "reflectance"), axes=(0, 0))
    return np.moveaxis(camera.decode(camera.develop(linear, random)), -1, 0), chart.values


def main(config_path: str, data: str, out: str) -> None:
    """Fit both maps, and write them with their cards."""
    config = read_config(config_path, data__folder=data)
    found = read_reflectances(config.reflectances)
    for kind in FEATURES:
        model = fit(config, kind, [] if found is None else found.by_collection())
        save_model(Path(out) / f"{model.name}.safetensors", model)
        print(f"{model.name:24} {model.card.scores}")


if __name__ == "__main__":
    main(*sys.argv[1:])
