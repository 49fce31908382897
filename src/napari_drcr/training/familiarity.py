"""Blocks of the images that a run learns from and of those held back, described by colour and texture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_drcr.models.familiarity import FEATURES, Familiarity, block_edges, calibrate, describe_blocks
from napari_drcr.training.data import Patches

SAMPLED_BLOCKS = 3200
"""Blocks of samples that are kept: 45 kB in a model file."""

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]


class SeenBlocks:
    """Blocks of the first samples of a run and of its validation images; the same however often the run is resumed."""

    def __init__(self) -> None:
        self._learned: list[Float64Array] = []
        self._held_out: dict[int, Float64Array] = {}

    def hold_out(self, number: int, image: Float32Array) -> None:
        """Take a validation image, unless it is known.

        Parameters
        ----------
        number : int
            Of the image.
        image : ndarray, shape (3, y, x), float32
            As the network takes it.
        """
        if number not in self._held_out:
            self._held_out[number] = _blocks(image)

    def familiarity(self, patches: Patches, samples: int) -> Familiarity | None:
        """What is known once so many samples were learned from.

        Parameters
        ----------
        patches : Patches
            The samples of the run.
        samples : int
            Those learned from; no more are taken than `SAMPLED_BLOCKS` needs.

        Returns
        -------
        Familiarity or None
            None where too little was learned from.
        """
        wanted = min(samples, _samples(patches))
        self._learned += [_blocks(patches[index][0].numpy()) for index in range(len(self._learned), wanted)]
        learned = np.concatenate(self._learned[:wanted])
        return calibrate(learned, [(learned, list(self._held_out.values()))])


def learned_blocks(patches: Patches) -> Float64Array:
    """Blocks of as many samples as `SAMPLED_BLOCKS` needs.

    Parameters
    ----------
    patches : Patches
        The samples of a run.

    Returns
    -------
    ndarray, shape (n, 7)
        For `napari_drcr.models.familiarity.calibrate`.
    """
    return np.concatenate([_blocks(patches[index][0].numpy()) for index in range(_samples(patches))])


def _samples(patches: Patches) -> int:
    """How many samples have `SAMPLED_BLOCKS` blocks."""
    side = len(block_edges(patches.config.data.patch)) - 1
    return -(-SAMPLED_BLOCKS // side**2)


def _blocks(image: Float32Array) -> Float64Array:
    return describe_blocks(image).reshape(-1, FEATURES)
