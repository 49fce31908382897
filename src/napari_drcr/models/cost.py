"""What a network has to compute for an image, from its settings alone: nothing is computed, and no memory is taken."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_drcr.models.architecture import Architecture, NetworkSettings

USUAL_SIZE = (482, 512)
"""Height and width of the images of ARAD_1K, for which the field states costs."""


@dataclass(frozen=True)
class Cost:
    """How large a network is, and how much it computes.

    Attributes
    ----------
    parameters : int
        Numbers that it learns.
    gmac : float
        Of an image of `USUAL_SIZE`; see `gmac`.
    """

    parameters: int
    gmac: float


@cache
def cost_of(architecture: Architecture, settings: NetworkSettings, bands: int) -> Cost:
    """The cost of a network; computed once, in a fraction of a second for most, after torch was imported.

    Parameters
    ----------
    architecture, settings, bands
        As for `gmac`.

    Returns
    -------
    Cost
    """
    network = _without_values(architecture, settings, bands)
    return Cost(architecture.count(network), _count(network, architecture.multiple, *USUAL_SIZE))


def count_parameters(architecture: Architecture, settings: NetworkSettings, bands: int) -> int:
    """How many numbers a network learns.

    Parameters
    ----------
    architecture, settings, bands
        As for `gmac`.

    Returns
    -------
    int
    """
    return architecture.count(_without_values(architecture, settings, bands))


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
    return _count(_without_values(architecture, settings, bands), architecture.multiple, height, width)


def _without_values(architecture: Architecture, settings: NetworkSettings, bands: int) -> Any:
    import torch

    with torch.device("meta"):
        return architecture.build(settings, bands).eval()


def _count(network: Any, multiple: int, height: int, width: int) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    padded = (length + -length % multiple for length in (height, width))
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.empty((1, 3, *padded)))
    return float(counter.get_total_flops()) / 2e9
