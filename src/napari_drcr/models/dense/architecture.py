"""What HSCNN-D and the networks derived from it tell about themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from napari_drcr.models.architecture import Architecture, ForeignLayout, NetworkSettings, read_settings

if TYPE_CHECKING:
    from torch import Tensor

    from napari_drcr.models.dense.network import DenseNetwork

PAPER = "Shi et al., HSCNN+: Advanced CNN-Based Hyperspectral Recovery from RGB Images, CVPR Workshops 2018"


class DenseArchitecture(Architecture):
    """What the networks of this family share.

    Attributes
    ----------
    names : Mapping of str to str
        Parts of published parameter names, and ours that replace them one after the other.
    """

    names: ClassVar[Mapping[str, str]] = {}
    paper = PAPER
    family = "dense"

    def rename(self, path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Architecture.rename`."""
        renamed = {}
        for name, value in state.items():
            for theirs, ours in self.names.items():
                name = name.replace(theirs, ours)
            renamed[name] = value
        return renamed

    def infer(self, path: Path, known: Mapping[str, Any], state: Mapping[str, Any]) -> NetworkSettings:
        """Everything follows from names and shapes."""
        found = {
            "blocks": _count(state, r"branches\.0\.blocks\.(\d+)\."),
            "branches": _count(state, r"branches\.(\d+)\."),
            "fusion_blocks": _count(state, r"fusion\.(\d+)\."),
        }
        if (first := state.get("branches.0.start.wide1.weight")) is not None and first.ndim:
            found["growth"] = len(first)
        told = {name: size for name, size in found.items() if name in self.settings.model_fields and size}
        return read_settings({"architecture": self.id, **told, **known}, source=path.name)


def _count(names: Iterable[str], pattern: str) -> int:
    """How many numbers there are at a place of names."""
    return len({found[1] for name in names if (found := re.match(pattern, name))})


class HSCNNPlusSettings(NetworkSettings):
    """Sizes of a `napari_drcr.models.dense.network.DenseNetwork` with one branch, without biases."""

    architecture: Literal["hscnn_plus"] = "hscnn_plus"
    growth: int = Field(default=12, ge=2)
    """Channels that a block appends; the toolbox of the NTIRE 2022 winners has 32."""
    blocks: int = Field(default=12, ge=1)
    """How many follow one another; the toolbox has 30."""


class HSCNNPlus(DenseArchitecture):
    """HSCNN+ as the winners of NTIRE 2022 compared with it: wider than HSCNN-D, and without biases."""

    id = "hscnn_plus"
    title = "HSCNN+"
    year = 2018
    learning_rate = 2e-4
    settings = HSCNNPlusSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": HSCNNPlusSettings(growth=32, blocks=30),
        "small": HSCNNPlusSettings(),
    }
    foreign = (ForeignLayout(source="the toolbox of the NTIRE 2022 winners", marks=("ddfn.",), normalisation="range"),)
    names: ClassVar[Mapping[str, str]] = {
        "ddfn.dfus_blocks": "branches.0.blocks",
        "ddfn": "branches.0.start",
        "conv_up1": "wide1",
        "conv_up2": "point1",
        "conv_down1": "wide2",
        "conv_down2": "point2",
        "conv_fution": "fuse",
        "conv1": "narrow",
        "conv_out": "output",
    }

    def build(self, settings: HSCNNPlusSettings, bands: int) -> DenseNetwork:
        """See `Architecture.build`."""
        from napari_drcr.models.dense.network import DenseNetwork

        return DenseNetwork(bands, settings.growth, settings.blocks, bias=False)


class HSCNNDSettings(NetworkSettings):
    """Sizes of a `napari_drcr.models.dense.network.DenseNetwork` with biases."""

    architecture: Literal["hscnn_d"] = "hscnn_d"
    growth: int = Field(default=12, ge=2)
    """Channels that a block appends; the paper has 16."""
    blocks: int = Field(default=12, ge=1)
    """How many follow one another in a branch; the paper has 38."""
    branches: int = Field(default=1, ge=1)
    """How many lie side by side; the paper has 1, the training file that its authors released 3, of 58 blocks."""


class HSCNND(DenseArchitecture):
    """HSCNN-D: dense blocks, in one branch or several."""

    id = "hscnn_d"
    title = "HSCNN-D"
    year = 2018
    rank = "1st of NTIRE 2018"
    learning_rate = 1e-3
    settings = HSCNNDSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": HSCNNDSettings(growth=16, blocks=38),
        "released": HSCNNDSettings(growth=16, blocks=58, branches=3),
        "small": HSCNNDSettings(),
    }
    foreign = (ForeignLayout(source="a public PyTorch version", marks=("FEN.", "FMN."), normalisation="white"),)
    names: ClassVar[Mapping[str, str]] = {
        "FEN": "branches.0.start",
        "FMN": "branches.0.blocks",
        "conv31": "wide1",
        "conv11": "point1",
        "conv32": "wide2",
        "conv12": "point2",
        "conv1in": "narrow",
        "conv1out": "fuse",
        "conv1R": "output",
    }

    def build(self, settings: HSCNNDSettings, bands: int) -> DenseNetwork:
        """See `Architecture.build`."""
        from napari_drcr.models.dense.network import DenseNetwork, start_as_published

        network = DenseNetwork(bands, settings.growth, settings.blocks, branches=settings.branches)
        start_as_published(network)
        return network

    def rename(self, path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """That version joins the first path's end before what it gives in between; convolutions that follow are put in our order."""
        import torch

        renamed = super().rename(path, state)
        start = renamed.get("branches.0.start.wide1.weight")
        for name, value in renamed.items():
            if (
                start is None
                or min(start.ndim, value.ndim) < 4
                or not name.endswith(("narrow.weight", "fuse.weight", "output.weight"))
            ):
                continue
            between = len(start)
            end = between // 2 if name.endswith("fuse.weight") else between
            renamed[name] = torch.cat((value[:, end : end + between], value[:, :end], value[:, end + between :]), dim=1)
        return renamed


class HSCNNDPlusSettings(NetworkSettings):
    """Sizes of a `napari_drcr.models.dense.network.DenseNetwork` with two branches and blocks over both."""

    architecture: Literal["hscnn_d_plus"] = "hscnn_d_plus"
    growth: int = Field(default=12, ge=2)
    """Channels that a block appends."""
    blocks: int = Field(default=6, ge=1)
    """How many follow one another in each of both branches; the report has 30."""
    fusion_blocks: int = Field(default=6, ge=1)
    """How many follow over both branches; the report has 30."""


class HSCNNDPlus(DenseArchitecture):
    """The entry of CI Lab to NTIRE 2020: two branches of HSCNN-D, and as many blocks over both."""

    id = "hscnn_d_plus"
    title = "HSCNND++"
    paper = "Team CI Lab in Arad et al., NTIRE 2020 Challenge on Spectral Reconstruction from an RGB Image, CVPR Workshops 2020"
    year = 2020
    rank = "9th of NTIRE 2020 (clean and real world)"
    assumptions = (
        "Widths and growth are those of HSCNN-D.",
        "The blocks over both branches start from everything that the branches give, and a convolution 1x1 ends them.",
        "The learning rate is 1e-4.",
    )
    learning_rate = 1e-4
    settings = HSCNNDPlusSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": HSCNNDPlusSettings(growth=16, blocks=30, fusion_blocks=30),
        "small": HSCNNDPlusSettings(),
    }

    def build(self, settings: HSCNNDPlusSettings, bands: int) -> DenseNetwork:
        """See `Architecture.build`."""
        from napari_drcr.models.dense.network import DenseNetwork, start_as_published

        network = DenseNetwork(bands, settings.growth, settings.blocks, branches=2, fusion=settings.fusion_blocks)
        start_as_published(network)
        return network
