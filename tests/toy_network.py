"""A network that the package does not know, as another package would bring it: linear layers and normalisation over channels."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from napari_drcr.models.architecture import Architecture, NetworkSettings


class ToyNetwork(nn.Module):
    def __init__(self, width: int, bands: int) -> None:
        super().__init__()
        self.spread = nn.Linear(3 * 64, width)
        self.normalise = nn.LayerNorm(width)
        self.gather = nn.Linear(width, 64 * bands)
        self.bands = bands

    def forward(self, rgb: Tensor) -> Tensor:
        """Works on blocks of 8 x 8 pixels, so the sides must be multiples of 8."""
        blocks = nn.functional.pixel_unshuffle(rgb, 8).movedim(1, -1)
        values = self.gather(torch.relu(self.normalise(self.spread(blocks))))
        return nn.functional.pixel_shuffle(values.movedim(-1, 1), 8)


class ToySettings(NetworkSettings):
    """Of the toy."""

    architecture: Literal["toy"] = "toy"
    width: int = Field(default=8, ge=2)
    """Of its hidden layer."""
    whole: bool = False
    """Whether to run it on whole images only."""


class Toy(Architecture):
    id = "toy"
    title = "Toy network"
    paper = "Nobody, Nowhere 2026"
    settings = ToySettings
    presets = {"published": ToySettings(width=32), "small": ToySettings()}  # noqa: RUF012
    multiple = 8

    def build(self, settings: ToySettings, bands: int) -> ToyNetwork:
        return ToyNetwork(settings.width, bands)

    def context(self, settings: ToySettings) -> int | None:
        return None if settings.whole else 0


def settings(**given: Any) -> dict[str, Any]:
    return {"architecture": "toy", **given}
