"""What a network has to compute for an image, from its settings alone: nothing is computed, and no memory is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_drcr.models.architecture import Architecture, NetworkSettings

USUAL_SIZE = (482, 512)
"""Height and width of the images of ARAD_1K, for which the field states costs."""


def gmac(architecture: Architecture, settings: NetworkSettings, bands: int, height: int, width: int) -> float:
    """Multiplications, each with an addition, that a network needs for one image.

    Parameters
    ----------
    architecture : Architecture
        Trainable.
    settings : NetworkSettings
        Of the network.
    bands : int
        Of its cubes.
    height, width : int
        Of the image in pixels. Its padding to the network's multiple counts.

    Returns
    -------
    float
        Billions, in convolutions, linear layers and products of matrices.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    padded = (length + -length % architecture.multiple for length in (height, width))
    with torch.device("meta"), torch.no_grad():
        network = architecture.build(settings, bands).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty((1, 3, *padded)))
    return float(counter.get_total_flops()) / 2e9
