"""Networks that the package does not know, as another package would bring them: linear layers and normalisation over channels."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

from napari_drcr.models import architecture as registry
from napari_drcr.models.architecture import Architecture, NetworkSettings


class ToyNetwork(nn.Module):
    mean: Tensor

    def __init__(self, width: int, bands: int) -> None:
        super().__init__()
        self.spread = nn.Linear(3 * 64, width)
        self.normalise = nn.LayerNorm(width)
        self.gather = nn.Linear(width, 64 * bands)
        self.register_buffer("mean", torch.zeros(bands, 1, 1))
        self.bands = bands

    def forward(self, rgb: Tensor) -> Tensor:
        """Works on blocks of 8 x 8 pixels, so the sides must be multiples of 8."""
        blocks = nn.functional.pixel_unshuffle(rgb, 8).movedim(1, -1)
        values = self.gather(torch.relu(self.normalise(self.spread(blocks))))
        return nn.functional.pixel_shuffle(values.movedim(-1, 1), 8) + self.mean


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


class PreparedToy(Toy):
    """The toy that begins with the mean spectrum of its training scenes, and counts how often it was prepared."""

    id = "prepared_toy"
    title = "Prepared toy"
    prepared = True
    calls = 0

    class Settings(ToySettings):
        """Of this toy."""

        architecture: Literal["prepared_toy"] = "prepared_toy"  # type: ignore[assignment]

    settings = Settings

    def prepare(self, network: ToyNetwork, scenes: Iterable[tuple[Tensor, Tensor]]) -> None:
        type(self).calls += 1
        assert not torch.is_grad_enabled()
        means = [cube.mean(dim=(1, 2)) for _, cube in scenes]
        network.mean.copy_(torch.stack(means).mean(dim=0)[:, None, None])


def install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Here, and in processes that are started, as an installed package would bring them."""
    info = folder / "packages" / "toys-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n", encoding="utf-8")
    toys = "toy = toy_network:Toy\nprepared_toy = toy_network:PreparedToy\n"
    (info / "entry_points.txt").write_text(f"[napari_drcr.architectures]\n{toys}", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{info.parent}{os.pathsep}{Path(__file__).parent}", prepend=os.pathsep)
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    monkeypatch.setattr(PreparedToy, "calls", 0)
    for toy in (Toy, PreparedToy):
        registry.register(toy())
