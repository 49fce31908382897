"""What residual networks with attention to channels and layers tell about themselves: RCAN, HAN and what was made of them, RDAN, DRCA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from napari_drcr.models.architecture import NetworkSettings
from napari_drcr.models.residual.architecture import REPORT_2022, ResidualArchitecture, leave_a_gate

if TYPE_CHECKING:
    import torch
    from torch import nn

    from napari_drcr.models.execution import Execution

RCAN_PAPER = "Zhang et al., Image Super-Resolution Using Very Deep Residual Channel Attention Networks, ECCV 2018"
HAN_PAPER = "Niu et al., Single Image Super-Resolution via a Holistic Attention Network, ECCV 2020"


class RCANSettings(NetworkSettings):
    """Sizes of RCAN."""

    architecture: Literal["rcan"] = "rcan"
    channels: int = Field(default=40, ge=1)
    """Of every feature map; the paper has 64."""
    groups: int = Field(default=2, ge=1)
    """How many follow one another; the paper has 10."""
    blocks: int = Field(default=3, ge=1)
    """In every group; the paper has 20."""
    reduction: int = Field(default=8, ge=1)
    """By which attention narrows the channels; the paper has 16."""

    @field_validator("reduction")
    @classmethod
    def _leaves_a_gate(cls, reduction: int, found: ValidationInfo) -> int:
        return leave_a_gate(reduction, found)


class RCAN(ResidualArchitecture):
    """RCAN without its enlargement."""

    id = "rcan"
    title = "RCAN"
    paper = RCAN_PAPER
    year = 2018
    family = "channel attention"
    learning_rate = 1e-4
    settings = RCANSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": RCANSettings(channels=64, groups=10, blocks=20, reduction=16),
        "small": RCANSettings(),
    }


class RCANChainSettings(NetworkSettings):
    """Sizes of Yuelushan's chain of networks."""

    architecture: Literal["rcan_chain"] = "rcan_chain"
    channels: int = Field(default=32, ge=1)
    """Of every feature map; the entry probably has 64."""
    restoring_blocks: int = Field(default=2, ge=1)
    """Of each of the two networks that improve the image; the entry has 5."""
    blocks: int = Field(default=5, ge=1)
    """Of the network that estimates the cube; the entry has 10."""
    reduction: int = Field(default=8, ge=1)
    """By which attention narrows the channels; the entry probably has 16."""

    @field_validator("reduction")
    @classmethod
    def _leaves_a_gate(cls, reduction: int, found: ValidationInfo) -> int:
        return leave_a_gate(reduction, found)


class RCANChain(ResidualArchitecture):
    """Yuelushan's three RCANs in a chain: two improve the image, the third estimates the cube."""

    id = "rcan_chain"
    title = "RCAN chain"
    paper = f"Team Yuelushan in {REPORT_2022}"
    year = 2022
    rank = "6th of NTIRE 2022"
    family = "channel attention"
    assumptions = (
        "The three networks are trained together, from image to cube; the entry trains them one after the other, the first two on images "
        "without noise and of the original brightness.",
        "Each network has one group of blocks with 64 channels, and attention narrows them by 16.",
        "The first two networks estimate what is to be added to their input.",
    )
    learning_rate = 5e-4
    settings = RCANChainSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": RCANChainSettings(channels=64, restoring_blocks=5, blocks=10, reduction=16),
        "small": RCANChainSettings(),
    }


class HANSettings(NetworkSettings):
    """Sizes and options of HAN."""

    architecture: Literal["han"] = "han"
    channels: int = Field(default=40, ge=1)
    """Of every feature map; the entry of 2022 probably has 64."""
    groups: int = Field(default=2, ge=1)
    """How many follow one another; the entry of 2022 probably has 7."""
    blocks: int = Field(default=2, ge=1)
    """In every group; the entry of 2022 probably has 13."""
    reduction: int = Field(default=8, ge=1)
    """By which attention narrows the channels; the entry of 2022 probably has 16."""
    mean_energies: bool = True
    """Whether attention to layers has the same scale for images of every size; in the paper it grows with the image."""

    @field_validator("reduction")
    @classmethod
    def _leaves_a_gate(cls, reduction: int, found: ValidationInfo) -> int:
        return leave_a_gate(reduction, found)


class HAN(ResidualArchitecture):
    """HAN without its enlargement, as entered by MIALGO: attention to channels, to the outputs of groups, and to the volume of features."""

    id = "han"
    title = "HAN"
    paper = f"{HAN_PAPER}; team MIALGO in {REPORT_2022}"
    year = 2022
    rank = "2nd of NTIRE 2022"
    family = "channel attention"
    assumptions = (
        "There are 7 groups of 13 blocks with 64 channels, and attention narrows them by 16: the natural sizes nearest to the entry's "
        "number of parameters, 409 above it.",
        "It is one network without the normalisation before and after it; the entry has two, chosen by the maximum of the image.",
    )
    learning_rate = 1e-4
    settings = HANSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": HANSettings(channels=64, groups=7, blocks=13, reduction=16, mean_energies=False),
        "small": HANSettings(),
    }


class HANECASettings(NetworkSettings):
    """Sizes and options of SSR's HAN."""

    architecture: Literal["han_eca"] = "han_eca"
    channels: int = Field(default=40, ge=1)
    """Of every feature map; the entry has 64."""
    groups: int = Field(default=2, ge=1)
    """How many follow one another; the entry has 6."""
    blocks: int = Field(default=2, ge=1)
    """In every group; the entry has 12."""
    mean_energies: bool = True
    """Whether attention to layers has the same scale for images of every size; in the paper it grows with the image."""


class HANECA(ResidualArchitecture):
    """SSR's HAN: blocks with efficient channel attention and spatial attention, on top of the interpolated image."""

    id = "han_eca"
    title = "HAN with ECA and spatial attention"
    paper = f"Team SSR in {REPORT_2022}"
    year = 2022
    rank = "5th of NTIRE 2022"
    family = "channel attention"
    assumptions = (
        "Efficient channel attention looks at 3 channels, and spatial attention at 7 x 7 pixels.",
        "What the network estimates is added to the image, whose red, green and blue are the first, the middle and the last band, with linear "
        "interpolation between them.",
        "It is one network; the entry averages four of them and a Restormer of half the size.",
    )
    learning_rate = 1e-4
    settings = HANECASettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": HANECASettings(channels=64, groups=6, blocks=12, mean_energies=False),
        "small": HANECASettings(),
    }


class RDANSettings(NetworkSettings):
    """Sizes of RDAN."""

    architecture: Literal["rdan"] = "rdan"
    channels: int = Field(default=40, ge=8, multiple_of=8)
    """Of every feature map; the entry probably has 64."""
    blocks: int = Field(default=4, ge=1)
    """How many follow one another; the entry probably has 8."""
    patch: Literal[4, 8] = 4
    """Side in pixels of the patches that are compared."""


class RDAN(ResidualArchitecture):
    """IFL's RDAN: attention to all patches of the image beside attention to channels, then a pyramid of convolutions."""

    id = "rdan"
    title = "RDAN"
    paper = f"Team IFL in {REPORT_2022}"
    year = 2022
    rank = "4th of NTIRE 2022"
    family = "channel attention"
    assumptions = (
        "There are 8 blocks of 64 channels between a first and a closing convolution, with a skip over all blocks.",
        "Both kinds of attention follow two convolutions and are added; patches are compared by an eighth of the channels.",
        "The pyramid has four groups of equal size, each of which sees the results of those before it.",
        "It is one network that estimates the cube as it is; the entry averages four that estimate radiance.",
    )
    learning_rate = 1e-4
    settings = RDANSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": RDANSettings(channels=64, blocks=8),
        "small": RDANSettings(),
    }
    multiple = 8


class DRCASettings(NetworkSettings):
    """Sizes of DRCA."""

    architecture: Literal["drca"] = "drca"
    channels: int = Field(default=32, ge=1)
    """Of every feature map; the entry has 128."""
    reduction: int = Field(default=8, ge=1)
    """By which attention narrows the channels."""

    @field_validator("reduction")
    @classmethod
    def _leaves_a_gate(cls, reduction: int, found: ValidationInfo) -> int:
        return leave_a_gate(reduction, found)


class DRCA(ResidualArchitecture):
    """Image Lab's DRCA: exact in patches of 64 x 64 pixels, which are independent."""

    id = "drca"
    title = "DRCA"
    paper = f"Team Image Lab in {REPORT_2022}"
    year = 2022
    rank = "12th of NTIRE 2022"
    family = "channel attention"
    assumptions = (
        "All convolutions of the branches look at 3 x 3 pixels and have 128 channels, and leaky ReLUs a slope of 0.2.",
        "Attention narrows channels by 8; in the last one channels and pixels act side by side, as in the team's RDA.",
        "A training crop of at most 64 x 64 pixels is a patch by itself, with coordinates from -1 to 1 over the crop.",
    )
    learning_rate = 1e-3
    settings = DRCASettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": DRCASettings(channels=128),
        "small": DRCASettings(),
    }

    def execution(self, network: nn.Module, settings: DRCASettings, device: str, kind: torch.dtype) -> Execution:
        """In tiles of whole patches: a tile then has the patches that the image has there."""
        from napari_drcr.models.execution import Tiles
        from napari_drcr.models.layers import PATCH

        return Tiles(network, device, kind, context=0, multiple=PATCH)
