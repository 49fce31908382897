"""The first batch of a run, to inspect before training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_drcr.training.data import Patches
from napari_drcr.training.reflectances import read_reflectances
from napari_drcr.training.scenes import ScenesOnDemand
from napari_drcr.training.sections import TrainingConfig

Float32Array = npt.NDArray[np.float32]


def preview_batch(config: TrainingConfig, seed: int | None = None) -> tuple[Float32Array, Float32Array, list[str]]:
    """Make the samples of the first step, as training does.

    Parameters
    ----------
    config : TrainingConfig
        The run.
    seed : int, optional
        In place of the configuration's: another one shows other samples.

    Returns
    -------
    rgb : ndarray, shape (batch, y, x, 3), float32
        What the network takes: in [0, 1], linear where the camera or the images are sRGB.
    cubes : ndarray, shape (batch, 31, y, x), float32
        What it should give.
    names : list of str
        The scene of each sample, or "patchwork".

    Raises
    ------
    InputError
        As `napari_drcr.training.scenes.cache_scenes` and `napari_drcr.training.reflectances.read_reflectances`. Only the scenes of this batch are converted and looked at.
    """
    batch = config.learning.batch
    if seed is not None:
        config = config.model_copy(update={"seed": seed})
    patches = Patches(ScenesOnDemand(config.data, at_most=batch), config, read_reflectances(config.reflectances))
    samples = [patches[index] for index in range(batch)]
    rgb = np.stack([np.moveaxis(image.numpy(), 0, -1) for image, _ in samples])
    cubes = np.stack([cube.numpy() for _, cube in samples])
    return rgb, cubes, [patches.name_of(index) for index in range(batch)]
