"""What plain residual networks tell about themselves: HSCNN-R and what was made of it, EDSR, LFB's Fixup ResNet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from napari_drcr.errors import InputError
from napari_drcr.models.architecture import Architecture, ForeignLayout, NetworkSettings, read_settings
from napari_drcr.models.parameters import some

if TYPE_CHECKING:
    from torch import Tensor, nn

REPORT_2020 = "Arad et al., NTIRE 2020 Challenge on Spectral Reconstruction from an RGB Image, CVPR Workshops 2020"
REPORT_2022 = "Arad et al., NTIRE 2022 Spectral Recovery Challenge and Data Set, CVPR Workshops 2022"


def leave_a_gate(reduction: int, found: ValidationInfo) -> int:
    """Check that attention has a channel left.

    Parameters
    ----------
    reduction : int
        By which it narrows the channels.
    found : pydantic.ValidationInfo
        Of settings with ``channels``.

    Returns
    -------
    int
        The reduction.

    Raises
    ------
    ValueError
        If it is larger than the channels.
    """
    if (channels := found.data.get("channels", reduction)) < reduction:
        raise ValueError(f"reduction {reduction} leaves nothing of {channels} channels")
    return reduction


class ResidualArchitecture(Architecture):
    """A system of the residual frame, built by the function of the name of its id in `napari_drcr.models.residual.systems`.

    Attributes
    ----------
    foreign_names : tuple of (str, str)
        Regular expressions of parameter names of `foreign` checkpoints, and ours; the first that matches is taken.
    """

    family = "residual"
    foreign_names: ClassVar[tuple[tuple[str, str], ...]] = ()

    def build(self, settings: NetworkSettings, bands: int) -> nn.Module:
        """See `Architecture.build`."""
        from napari_drcr.models.residual import systems

        network: nn.Module = getattr(systems, self.id)(bands, **settings.model_dump(exclude={"architecture"}))
        return network

    def rename(self, path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Architecture.rename`."""
        renamed, surplus = {}, []
        for name, value in state.items():
            for theirs, ours in self.foreign_names:
                if match := re.fullmatch(rf"{theirs}\.(weight|bias)", name):
                    renamed[f"{match.expand(ours)}.{match[match.re.groups]}"] = value
                    break
            else:
                surplus.append(name)
        if surplus:
            raise InputError(f"{path.name} has parameters that {self.title} does not: {some(surplus)}.")
        return renamed

    def infer(self, path: Path, known: Mapping[str, Any], state: Mapping[str, Any]) -> NetworkSettings:
        """What `known` lacks of channels and blocks follows from names and shapes, for networks with a `foreign` layout."""
        found: dict[str, Any] = {}
        if self.foreign and not {"channels", "blocks"} <= known.keys():
            head = state.get("head.weight")
            if head is None or head.ndim != 4:
                raise InputError(f"{path.name} lacks the first convolution of {self.title}; it has {some(list(state))}.")
            numbers = {name.split(".")[2] for name in state if name.startswith("body.units.")}
            found = {"channels": int(head.shape[0]), "blocks": len(numbers)}
        return read_settings({"architecture": self.id, **found, **known}, source=path.name)


class HSCNNRSettings(NetworkSettings):
    """Sizes of HSCNN-R."""

    architecture: Literal["hscnn_r"] = "hscnn_r"
    channels: int = Field(default=48, ge=1)
    """Of every feature map; the paper has 64, and 256 in one network of its ensemble."""
    blocks: int = Field(default=5, ge=1)
    """How many follow one another; the paper has 16, and 14 in one network of its ensemble."""


class HSCNNR(ResidualArchitecture):
    """HSCNN-R: residual blocks with a ReLU after every sum; purely local."""

    id = "hscnn_r"
    title = "HSCNN-R"
    paper = "Shi et al., HSCNN+: Advanced CNN-Based Hyperspectral Recovery from RGB Images, CVPR Workshops 2018"
    year = 2018
    rank = "2nd of NTIRE 2018"
    learning_rate = 2e-4
    settings = HSCNNRSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": HSCNNRSettings(channels=64, blocks=16),
        "small": HSCNNRSettings(),
    }
    foreign = (
        ForeignLayout(
            source="public PyTorch versions of HSCNN-R", marks=("conv_seq.",), encoding="as given", normalisation="white"
        ),
    )
    foreign_names = (
        (r"input_conv", r"head"),
        (r"conv_seq\.(\d+)\.(conv[12])", r"body.units.\1.\2"),
        (r"conv", r"body.close"),
        (r"output_conv", r"tail"),
    )


class EDSRSettings(NetworkSettings):
    """Sizes of EDSR."""

    architecture: Literal["edsr"] = "edsr"
    channels: int = Field(default=48, ge=1)
    """Of every feature map; the toolbox of the NTIRE 2022 winners has 64."""
    blocks: int = Field(default=5, ge=1)
    """How many follow one another; the toolbox of the NTIRE 2022 winners has 32."""


class EDSR(ResidualArchitecture):
    """EDSR without its enlargement, as in the toolbox of the NTIRE 2022 winners: no activation after sums; purely local."""

    id = "edsr"
    title = "EDSR"
    paper = "Lim et al., Enhanced Deep Residual Networks for Single Image Super-Resolution, CVPR Workshops 2017"
    year = 2017
    learning_rate = 1e-4
    settings = EDSRSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": EDSRSettings(channels=64, blocks=32),
        "small": EDSRSettings(),
    }
    foreign = (
        ForeignLayout(
            source="the toolbox of the NTIRE 2022 winners",
            # The closing convolution; networks of the same authors have the other names too.
            marks=("body.32.weight", "body.32.bias"),
            encoding="as given",
            normalisation="range",
        ),
    )
    foreign_names = (
        (r"head\.0", r"head"),
        (r"body\.(\d+)\.body\.0", r"body.units.\1.conv1"),
        (r"body\.(\d+)\.body\.2", r"body.units.\1.conv2"),
        (r"body\.\d+", r"body.close"),
        (r"tail\.0", r"tail"),
    )


class FixupResNetSettings(NetworkSettings):
    """Sizes and options of LFB's network."""

    architecture: Literal["lfb"] = "lfb"
    channels: int = Field(default=48, ge=1)
    """Of every feature map; the entry has 64."""
    blocks: int = Field(default=4, ge=1)
    """How many follow one another; the entry has 8."""
    linear_start: bool = True
    """Whether the network refines the linear estimate, as in the entry for clean images; that for real-world images does not."""


class FixupResNet(ResidualArchitecture):
    """LFB's Fixup ResNet on top of a linear estimate: before the first step it equals the classical estimate; purely local."""

    id = "lfb"
    title = "Fixup ResNet"
    paper = f"Team LFB in {REPORT_2020}"
    year = 2020
    rank = "8th (clean) and 5th (real world) of NTIRE 2020"
    assumptions = (
        "The blocks are the published Fixup basic block, and a ReLU follows the first convolution.",
        "The response of the camera is estimated from colours and spectra of the training scenes by least squares; the entry takes the "
        "challenge's.",
        "The image is not shifted by half a step of 8 bits, since it comes in linear light.",
    )
    learning_rate = 1e-4
    settings = FixupResNetSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": FixupResNetSettings(channels=64, blocks=8),
        "small": FixupResNetSettings(),
    }
    prepared = True

    def prepare(self, network: Any, scenes: Iterable[tuple[Tensor, Tensor]]) -> None:
        """See `Architecture.prepare`: fits the linear estimate, see `napari_drcr.models.residual.inputs.LinearEstimate`."""
        if network.base is not None:
            network.base.fit(scenes)


class ImprovedHSCNNPlusSettings(NetworkSettings):
    """Sizes of TIC-RC's network."""

    architecture: Literal["hscnn_plus_tic"] = "hscnn_plus_tic"
    channels: int = Field(default=48, ge=1)
    """Of every feature map; the entry probably has 64."""
    blocks: int = Field(default=4, ge=1)
    """How many follow one another; the entry probably has 5."""
    reduction: int = Field(default=8, ge=1)
    """By which attention narrows the channels."""

    @field_validator("reduction")
    @classmethod
    def _leaves_a_gate(cls, reduction: int, found: ValidationInfo) -> int:
        return leave_a_gate(reduction, found)


class ImprovedHSCNNPlus(ResidualArchitecture):
    """TIC-RC's HSCNN-R with fewer blocks, attention to channels, and two further copies of the image as input."""

    id = "hscnn_plus_tic"
    title = "improved HSCNN+"
    paper = f"Team TIC-RC in {REPORT_2020}"
    year = 2020
    rank = "5th (clean) and 7th (real world) of NTIRE 2020"
    assumptions = (
        "There are 5 blocks of 64 channels, by the time that an epoch takes.",
        "White balance makes the means of the channels equal and clips to 0..1; the gamma is 1 / 2.2.",
        "Attention narrows the channels by 16 and acts before the sum.",
    )
    learning_rate = 2e-4
    settings = ImprovedHSCNNPlusSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": ImprovedHSCNNPlusSettings(channels=64, blocks=5, reduction=16),
        "small": ImprovedHSCNNPlusSettings(),
    }


class MeanResidualSettings(NetworkSettings):
    """Sizes of VIPLab's networks."""

    architecture: Literal["mean_residual"] = "mean_residual"
    channels: int = Field(default=48, ge=1)
    """Of every feature map; the entry probably has 64."""
    blocks: int = Field(default=4, ge=1)
    """How many follow one another; the entry probably has 16."""


class MeanResidual(ResidualArchitecture):
    """VIPLab's two networks: one for the mean of every band, one for what is around it."""

    id = "mean_residual"
    title = "mean and residual networks"
    paper = f"Team VIPLab in {REPORT_2020}"
    year = 2020
    rank = "4th and 6th (clean) of NTIRE 2020"
    assumptions = (
        "The means follow from the means of features that two convolutions find, by a linear layer.",
        "The residual is estimated by HSCNN-R, from whose output the mean of every band is taken away.",
        "Both are trained together and with ReLU; the entry averages variants of them.",
    )
    learning_rate = 2e-4
    settings = MeanResidualSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": MeanResidualSettings(channels=64, blocks=16),
        "small": MeanResidualSettings(),
    }


class RPANSettings(NetworkSettings):
    """Sizes and options of RPAN."""

    architecture: Literal["rpan"] = "rpan"
    channels: int = Field(default=40, ge=1)
    """Of every feature map; the entry has 64."""
    groups: int = Field(default=2, ge=1)
    """How many follow one another; the entry has 4."""
    blocks: int = Field(default=3, ge=1)
    """In every group; the entry has 8."""
    bias: bool = False
    """Whether convolutions have biases, as in the entry for real-world images; in that for clean ones they have none."""


class RPAN(ResidualArchitecture):
    """GD322's RPAN: a factor for every channel of every pixel; purely local."""

    id = "rpan"
    title = "RPAN"
    paper = f"Team GD322 in {REPORT_2020}"
    year = 2020
    rank = "7th (clean) and 6th (real world) of NTIRE 2020"
    assumptions = (
        "The factors follow from the channels of a pixel by two linear layers with a ReLU between, and act before the sum.",
        "Every group ends in a convolution, and its input is added.",
    )
    learning_rate = 8e-5
    settings = RPANSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": RPANSettings(channels=64, groups=4, blocks=8),
        "small": RPANSettings(),
    }
