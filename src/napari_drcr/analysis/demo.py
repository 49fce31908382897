"""The whole story on the synthetic scene: make it, photograph it, estimate its cube, compare, and leave it all in a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_drcr.analysis.evaluation import DEFAULT_FLOOR, Score, score, score_header
from napari_drcr.analysis.figures import demo_figure, save_figure
from napari_drcr.camera.sample import marked_pixels, synthetic_pair
from napari_drcr.errors import InputError
from napari_drcr.inference.reconstruction import ESTIMATE, reconstruct
from napari_drcr.io import write_cube
from napari_drcr.models.store import DEFAULT_MODEL
from napari_drcr.system.files import atomic_path

BASELINES = ("polynomial", "linear")


@dataclass(frozen=True)
class DemoResult:
    """What the demo found and where it lies.

    Parameters
    ----------
    model, device, device_name, precision : str
        What made the estimate.
    seconds : float
        How long that took, without making the scene and writing files.
    floor : float
        Of the MRAE.
    scores : tuple of Score
        The model's, then those of the baselines; `Score.name` holds the model's name.
    paths : tuple of Path
        The files: RGB image, true cube, estimated cube, figure.
    """

    model: str
    device: str
    device_name: str
    precision: str
    seconds: float
    floor: float
    scores: tuple[Score, ...]
    paths: tuple[Path, ...]

    def header(self) -> list[str]:
        """Column titles of the scores, MRAE with its floor."""
        return score_header("model", self.floor)


def run_demo(
    folder: str | Path,
    *,
    model: str | Path = DEFAULT_MODEL,
    device: str = "auto",
    precision: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> DemoResult:
    """Estimate the synthetic scene's cube from its RGB image and compare it with the exact one.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there. Gets ``sample_rgb.png``, ``sample_truth.mat``, ``estimate.mat`` and ``comparison.png``; files of
        these names are replaced.
    model, device, precision, progress
        As for `napari_drcr.inference.reconstruction.reconstruct`.

    Returns
    -------
    DemoResult
        The scene is synthetic: its scores show that everything works, and say little about photographs.

    Raises
    ------
    InputError
        If the folder's name is taken by a file, or model, device or precision cannot be used.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; the demo needs a folder to write to.")
    rgb, truth = synthetic_pair()
    estimate = reconstruct(rgb, model, device=device, precision=precision, progress=progress)
    name = str(estimate.attrs["model"])
    others = {baseline: reconstruct(rgb, baseline) for baseline in BASELINES if baseline != model}
    scores = [score(name, truth, estimate), *(score(baseline, truth, cube) for baseline, cube in others.items())]
    figure = demo_figure(
        rgb,
        truth,
        estimate,
        marked_pixels(*rgb.shape[:2]),
        floor=DEFAULT_FLOOR,
        title="From one RGB image to 31 bands",
        caption=f"Model: {name}. Synthetic scene, not a benchmark. {ESTIMATE}",
    )

    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / file for file in ("sample_rgb.png", "sample_truth.mat", "estimate.mat", "comparison.png"))
    _write_png(paths[0], rgb)
    write_cube(paths[1], truth)
    write_cube(paths[2], estimate)
    save_figure(paths[3], figure)
    return DemoResult(
        model=name,
        device=estimate.attrs["device"],
        device_name=estimate.attrs["device_name"],
        precision=estimate.attrs["precision"],
        seconds=estimate.attrs["seconds"],
        floor=DEFAULT_FLOOR,
        scores=tuple(scores),
        paths=paths,
    )


def _write_png(path: Path, rgb: npt.NDArray[np.uint8]) -> None:
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(rgb).save(temporary)
