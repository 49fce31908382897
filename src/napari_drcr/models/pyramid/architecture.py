"""HRNet and CSAN as the rest of the package sees them; torch is needed only to build one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from napari_drcr.errors import InputError
from napari_drcr.models.architecture import Architecture, ForeignLayout, NetworkSettings

if TYPE_CHECKING:
    from napari_drcr.models.pyramid.csan import CSAN
    from napari_drcr.models.pyramid.hrnet import HRNet

MARKS = ("top1", "top21", "top22", "mid1", "mid31", "bot1", "bot31", "main1", "main31")


class HRNetSettings(NetworkSettings):
    """Sizes and options of `napari_drcr.models.pyramid.hrnet.HRNet`."""

    architecture: Literal["hrnet"] = "hrnet"
    channels: int = Field(default=8, ge=4, multiple_of=4)
    """At full resolution, twice as many at every coarser one; the paper has 64."""
    gated: bool = True
    """Whether a gate from the means over the image weights the channels of each level once."""
    padding: Literal["zeros", "reflect"] = "zeros"
    """What lies beyond the image; the paper reflects it."""
    global_first: bool = False
    """Whether the gated block of a level comes before its dense blocks, as in the authors' second variant."""
    xavier_start: bool = False
    """Whether filters start from Xavier's normal distribution with a gain of 0.02, as in the paper's network. Short training then does not get far."""


class HRNetArchitecture(Architecture):
    """HRNet: a pyramid of four resolutions made by rearranging pixels into channels."""

    id = "hrnet"
    title = "HRNet"
    paper = "Zhao et al., Hierarchical Regression Network for Spectral Reconstruction from RGB Images, CVPR Workshops 2020"
    year = 2020
    rank = "1st (real world) and 3rd (clean) of NTIRE 2020"
    family = "pyramid"
    settings = HRNetSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": HRNetSettings(channels=64, padding="reflect", xavier_start=True),
        "toolbox": HRNetSettings(channels=64, gated=False),
        "small": HRNetSettings(),
    }
    multiple = 8
    foreign = (
        ForeignLayout(
            source="the toolbox of the NTIRE 2022 winners",
            marks=MARKS,
            beside="optimizer",
            normalisation="range",
            hints={"padding": "zeros"},
            unused=(r".+\.fc\.[024]\.weight",),
        ),
        ForeignLayout(
            source="the authors", marks=MARKS, normalisation="white", hints={"padding": "reflect", "xavier_start": True}
        ),
    )

    def build(self, settings: HRNetSettings, bands: int) -> HRNet:
        """See `Architecture.build`."""
        from napari_drcr.models.pyramid.hrnet import HRNet

        return HRNet(bands, **settings.model_dump(exclude={"architecture"}))

    def infer(self, path: Path, known: Mapping[str, Any], state: Mapping[str, Any]) -> NetworkSettings:
        """All but ``padding`` and ``xavier_start`` follows from names and shapes."""
        first = state.get("main1.conv2d.weight")
        if first is None or first.ndim != 4:
            raise InputError(
                f"{path.name} lacks the first convolution of {self.title} at full resolution, main1.conv2d.weight."
            )
        found = {
            "channels": int(first.shape[0]),
            "gated": any(".fc." in name for name in state),
            "global_first": "top22.conv3.conv2d.weight" in state,
        }
        return super().infer(path, {**known, **found}, state)


class CSANSettings(NetworkSettings):
    """Sizes of `napari_drcr.models.pyramid.csan.CSAN`."""

    architecture: Literal["csan"] = "csan"
    channels: int = Field(default=16, ge=1)
    """Of every branch; 64 in our reading of the report."""
    growth: int = Field(default=8, ge=1)
    """What each convolution of a dense block adds; 32 in our reading of the report."""
    blocks: int = Field(default=3, ge=1)
    """Dense blocks in each of the ten groups."""


class CSANArchitecture(Architecture):
    """CSAN: branches of more and more resolutions, aggregated between stages."""

    id = "csan"
    title = "CSAN"
    paper = "Arad et al., NTIRE 2020 Challenge on Spectral Reconstruction from an RGB Image, CVPR Workshops 2020 (team AIDAR)"
    year = 2020
    rank = "4th (real world) of NTIRE 2020"
    family = "pyramid"
    assumptions = (
        "The four stages have 1, 2, 3 and 4 branches, at full, half, quarter and eighth resolution; the report counts ten groups.",
        "Every branch has 64 channels; a group is three residual dense blocks of four convolutions, which add 32 channels each, with a skip around it.",
        "Aggregation halves by strided 3x3 convolutions, enlarges by 1x1 convolutions and bilinear interpolation, fuses by 1x1 convolutions and adds the branch.",
        "The reconstruction goes from coarse to fine: bilinear interpolation, concatenation, a 3x3 convolution and a ReLU.",
        "The global skip adds the result of the first convolution before the last one.",
    )
    settings = CSANSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": CSANSettings(channels=64, growth=32),
        "small": CSANSettings(),
    }
    multiple = 8

    def build(self, settings: CSANSettings, bands: int) -> CSAN:
        """See `Architecture.build`."""
        from napari_drcr.models.pyramid.csan import CSAN

        return CSAN(bands, settings.channels, settings.growth, settings.blocks)
