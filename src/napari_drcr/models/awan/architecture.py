"""What AWAN tells about itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from napari_drcr.models.architecture import Architecture, ForeignLayout, NetworkSettings, read_settings

if TYPE_CHECKING:
    from napari_drcr.models.awan.network import AWANNet

MARKS = (
    "tail_nonlocal",
    "backbone.0.up_conv",
    "backbone.0.up_relu",
    "backbone.0.se.",
    "backbone.0.down_conv",
    "backbone.0.down_relu",
)
"""What DRCR Net, published by the same group under similar names, does not have."""


class AWANSettings(NetworkSettings):
    """Sizes and options of `napari_drcr.models.awan.network.AWANNet`."""

    architecture: Literal["awan"] = "awan"
    channels: int = Field(default=48, ge=1)
    """Of every feature map; the paper has 200."""
    blocks: int = Field(default=4, ge=1)
    """How many dual residual attention blocks follow one another; the paper has 8."""
    reduction: int = Field(default=16, ge=1)
    """By which re-calibration (AWCA) narrows the channels."""
    non_local: bool = False
    """Whether attention between all pixels of a quadrant (PSNL) comes last; slow on large images."""

    @field_validator("reduction")
    @classmethod
    def _leaves_a_gate(cls, reduction: int, found: ValidationInfo) -> int:
        channels = found.data.get("channels", reduction)
        if channels < reduction:
            raise ValueError(f"reduction {reduction} leaves nothing of {channels} channels")
        return reduction

    def summary(self) -> str:
        """Such as "200 channels, 8 blocks"."""
        return f"{self.channels} channels, {self.blocks} blocks"


class AWAN(Architecture):
    """AWAN, also from checkpoints of its authors and of the toolbox of the NTIRE 2022 winners."""

    id = "awan"
    title = "AWAN"
    paper = (
        "Li et al., Adaptive Weighted Attention Network with Camera Spectral Sensitivity Prior for Spectral Reconstruction from "
        "RGB Images, CVPR Workshops 2020"
    )
    year = 2020
    rank = "1st of NTIRE 2020 (clean), 3rd (real world)"
    family = "channel attention"
    learning_rate = 1e-4
    settings = AWANSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": AWANSettings(channels=200, blocks=8, non_local=True),
        "toolbox": AWANSettings(channels=96, blocks=8, non_local=True),
        "small": AWANSettings(),
    }
    foreign = (
        ForeignLayout(
            source="the toolbox of the NTIRE 2022 winners",
            marks=MARKS,
            shapes={"head_conv2D.conv2d.weight": (96, 96, 3, 3)},
            normalisation="range",
        ),
        ForeignLayout(source="the authors", marks=MARKS, normalisation="white"),
    )

    def build(self, settings: AWANSettings, bands: int) -> AWANNet:
        """See `Architecture.build`."""
        from napari_drcr.models.awan.network import AWANNet

        return AWANNet(bands=bands, **settings.model_dump(exclude={"architecture"}))

    def infer(self, path: Path, known: Mapping[str, Any], state: Mapping[str, Any]) -> NetworkSettings:
        """Everything follows from names and shapes."""
        found: dict[str, Any] = {
            "blocks": len({name.split(".")[1] for name in state if name.startswith("backbone.")}),
            "non_local": any(name.startswith("tail_nonlocal.") for name in state),
        }
        head, gate = (state.get(name) for name in ("head_conv2D.conv2d.weight", "backbone.0.se.fc.0.weight"))
        if head is not None and head.ndim == 4:
            found["channels"] = int(head.shape[0])
            if gate is not None and gate.ndim == 2 and gate.shape[0]:
                found["reduction"] = found["channels"] // int(gate.shape[0])
        return read_settings({"architecture": self.id, **found, **known}, source=path.name)
