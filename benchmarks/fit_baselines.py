"""Fit the per-pixel maps `linear` and `polynomial`, the baselines for a network, and write them with their cards.

usage: python benchmarks/fit_baselines.py CONFIG.yaml DATA OUT

CONFIG and DATA are those of the network: same scenes, same camera, same lights, same held-out scenes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_drcr.analysis.metrics import mrae
from napari_drcr.camera import find_camera
from napari_drcr.models.pixel_map import FEATURES, fit_pixel_map
from napari_drcr.models.store import Model, save_model
from napari_drcr.training.config import read_config
from napari_drcr.training.data import Photographs
from napari_drcr.training.run import draft_card
from napari_drcr.training.scenes import Scene, cache_scenes

PIXELS_PER_SCENE = 20_000
FLOOR = 0.01


def main(config_path: str, data: str, out: str) -> None:
    """Fit on the training scenes, score on the held-out ones."""
    config = read_config(config_path, data__folder=data)
    camera = find_camera(config.camera.name)
    training, validation = cache_scenes(config.data)
    lightings: list[tuple[str, ...]] = [(light,) for light in config.data.lights] or [()]

    def pairs(scenes: list[Scene]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for lights in lightings:
            for rgb, cube in Photographs(scenes, camera, lights):
                yield rgb.numpy(), cube.numpy()

    random = np.random.default_rng(config.seed)
    samples = []
    for rgb, cube in pairs(training):
        chosen = random.choice(rgb[0].size, PIXELS_PER_SCENE // len(lightings), replace=False)
        samples.append((rgb.reshape(3, -1).T[chosen], cube.reshape(len(cube), -1).T[chosen]))
    draft = draft_card(config, training, validation)
    for kind in FEATURES:
        fitted = fit_pixel_map(kind, samples, floor=FLOOR)
        scores = [mrae(cube, fitted.apply(np.moveaxis(rgb, 0, -1)), floor=FLOOR) for rgb, cube in pairs(validation)]
        name = kind if config.name == "photo" else f"{config.name}-{kind}"
        about = {
            "name": name,
            "architecture": "pixel_map",
            "settings": {"kind": kind},
            "recipe": f"{PIXELS_PER_SCENE} pixels a scene, camera {camera.name}, iteratively re-weighted to the relative error",
            "limits": "One pixel at a time: it knows neither neighbours nor materials. What a network must beat.",
            "scores": {f"validation MRAE@{FLOOR:g}": round(float(np.mean(scores)), 4)},
        }
        save_model(Path(out) / f"{name}.safetensors", Model(draft.model_copy(update=about), fitted))
        print(f"{name:24} MRAE@{FLOOR:g} {np.mean(scores):.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
