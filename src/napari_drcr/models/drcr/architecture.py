"""What DRCR Net tells about itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from napari_drcr.errors import InputError
from napari_drcr.models.architecture import Architecture, ForeignLayout, NetworkSettings, read_settings
from napari_drcr.models.drcr.released import rename_released, sizes_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from napari_drcr.models.drcr.network import DRCRNet
    from napari_drcr.models.execution import Execution


class DRCRSettings(NetworkSettings):
    """Sizes and options of `napari_drcr.models.drcr.network.DRCRNet`."""

    architecture: Literal["drcr"] = "drcr"
    channels: int = Field(default=32, ge=8)
    """Of every feature map; the paper has 100."""
    blocks: int = Field(default=5, ge=1)
    """How many follow one another; the paper has 10."""
    purification: bool = True
    """Whether non-local purification (NPM) comes before the blocks."""
    recalibration: bool = True
    """Whether channels are re-calibrated (CRM) in every block."""
    reduction: int = Field(default=8, ge=1)
    """By which re-calibration narrows the channels."""
    released_npm: bool = False
    """The purification of the released code, whose coarsest level takes the filters of the middle one, in place of the paper's."""
    gate_offset: float = Field(default=0.0, ge=-10, le=10)
    """Added before the sigmoid of every gate of the re-calibration: with 0, as in the paper, gates start near 1/2 and each block passes
    on a quarter of its input; with 4 they start near 1."""

    @field_validator("reduction")
    @classmethod
    def _leaves_a_gate(cls, reduction: int, found: ValidationInfo) -> int:
        channels = found.data.get("channels", reduction)
        if found.data.get("recalibration") and channels < reduction:
            raise ValueError(f"reduction {reduction} leaves nothing of {channels} channels")
        return reduction

    @property
    def has_unused_parameters(self) -> bool:
        """True with the released purification, whose coarsest level holds filters that it does not use."""
        return self.purification and self.released_npm

    def summary(self) -> str:
        """Such as "100 channels, 10 blocks"."""
        return f"{self.channels} channels, {self.blocks} blocks"


class DRCR(Architecture):
    """DRCR Net: exact in strips of any size, refinable, and read from checkpoints in the published layout."""

    id = "drcr"
    title = "DRCR Net"
    paper = (
        "Li et al., DRCR Net: Dense Residual Channel Re-calibration Network with Non-local Purification for Spectral Super "
        "Resolution, CVPR Workshops 2022"
    )
    settings = DRCRSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": DRCRSettings(channels=100, blocks=10),
        "small": DRCRSettings(),
    }
    multiple = 4
    precisions = ("fp32", "bf16", "fp16")
    year = 2022
    rank = "3rd of NTIRE 2022"
    family = "channel attention"
    learning_rate = 1e-3
    foreign = (
        ForeignLayout(
            source="the authors",
            marks=("denosing", "backbone.0.conv3", "backbone.0.se1"),
            encoding="as given",
            normalisation="maximum",
            hints={"released_npm": True},
        ),
    )

    def build(self, settings: DRCRSettings, bands: int) -> DRCRNet:
        """See `Architecture.build`."""
        from napari_drcr.models.drcr.network import DRCRNet

        return DRCRNet(bands=bands, **settings.model_dump(exclude={"architecture"}))

    def execution(self, network: nn.Module, settings: DRCRSettings, device: str, kind: torch.dtype) -> Execution:
        """In strips; see `napari_drcr.models.drcr.tiles`."""
        from napari_drcr.models.drcr.network import DRCRNet
        from napari_drcr.models.drcr.tiles import Strips

        assert isinstance(network, DRCRNet)
        return Strips(network, device, kind)

    def rename(self, path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Architecture.rename`."""
        return rename_released(path, state)

    def infer(self, path: Path, known: Mapping[str, Any], state: Mapping[str, Any]) -> NetworkSettings:
        """All but ``released_npm`` follows from names and shapes."""
        return read_settings({"architecture": self.id, **known, **sizes_of(path, state)}, source=path.name)

    def load(self, path: Path, settings: DRCRSettings, bands: int, state: Mapping[str, Any]) -> nn.Module:
        """See `Architecture.load`; the last convolution tells how many bands there are."""
        if (given := int(state["tail.2.weight"].shape[0])) != bands:
            raise InputError(
                f"{path.name} estimates {given} bands, but only the wavelengths of {bands} bands are known for it."
            )
        network: nn.Module = super().load(path, settings, bands, state)
        return network
