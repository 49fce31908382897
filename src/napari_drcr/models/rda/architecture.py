"""What RDA tells about itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from napari_drcr.errors import InputError
from napari_drcr.models.architecture import Architecture, ForeignLayout, NetworkSettings, read_settings
from napari_drcr.models.parameters import some
from napari_drcr.models.rda.keras_names import keras_names

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from napari_drcr.models.execution import Execution
    from napari_drcr.models.rda.network import RDA


class RDASettings(NetworkSettings):
    """Sizes of `napari_drcr.models.rda.network.RDA`."""

    architecture: Literal["rda"] = "rda"
    growth: int = Field(default=16, ge=1)
    """Features of each convolution of the dense branch."""
    reduction: int = Field(default=8, ge=1)
    """By which the gates of channels narrow them."""
    features: int = Field(default=8, ge=1, validate_default=True)
    """Of the U-Net's first level; each further level has twice as many."""

    @field_validator("features")
    @classmethod
    def _leaves_a_gate(cls, features: int, found: ValidationInfo) -> int:
        if features < (reduction := found.data.get("reduction", 1)):
            raise ValueError(f"reduction {reduction} leaves nothing of {features} features")
        return features


class ResidualDenseAttention(Architecture):
    """RDA: exact in patches of 64 x 64 pixels, which are independent, and read from the published Keras file."""

    id = "rda"
    title = "RDA"
    paper = (
        "Nathan, Uma, Synthiya Vinothini, Sathya Bama and Md Mansoor Roomi, Light Weight Residual Dense Attention Net for Spectral "
        "Reconstruction from RGB Images, arXiv 2020"
    )
    year = 2020
    rank = "12th of NTIRE 2020 (clean)"
    family = "U-Net"
    assumptions = (
        "A training crop of at most 64 x 64 pixels is a patch by itself, with coordinates from -1 to 1 over the crop.",
        "Learning starts at a rate of 1e-3; only its end, 1e-5, was published.",
    )
    learning_rate = 1e-3
    settings = RDASettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {"published": RDASettings(), "small": RDASettings()}
    foreign = (
        ForeignLayout(
            source="the authors (Keras)",
            marks=("K_x/", "K_x_1/", "op0/"),
            encoding="as given",
            normalisation="white",
        ),
    )

    def build(self, settings: RDASettings, bands: int) -> RDA:
        """See `Architecture.build`."""
        from napari_drcr.models.rda.network import RDA

        return RDA(bands, **settings.model_dump(exclude={"architecture"}))

    def execution(self, network: nn.Module, settings: RDASettings, device: str, kind: torch.dtype) -> Execution:
        """In tiles of whole patches: a tile then has the patches that the image has there."""
        from napari_drcr.models.execution import Tiles
        from napari_drcr.models.layers import PATCH

        return Tiles(network, device, kind, context=0, multiple=PATCH)

    def rename(self, path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Architecture.rename`; kernels become torch's."""
        from napari_drcr.models.keras import to_torch

        names = keras_names()
        if missing := [name for name in names if name not in state]:
            raise InputError(f"{path.name} lacks {len(missing)} of the {len(names)} arrays of {self.title}: {some(missing)}.")
        if surplus := [name for name in state if name not in names]:
            raise InputError(f"{path.name} has arrays that {self.title} does not: {some(surplus)}.")
        return {ours: to_torch(state[theirs]) for theirs, ours in names.items()}

    def infer(self, path: Path, known: Mapping[str, Any], state: Mapping[str, Any]) -> NetworkSettings:
        """All follows from shapes."""
        sizes: dict[str, int] = {}
        if (dense := state.get("dense.conv1.weight")) is not None and dense.ndim:
            sizes["growth"] = dense.shape[0]
        if (gate := state.get("u_net.down1.1.channel_gate.squeeze.weight")) is not None and gate.ndim == 2:
            sizes["features"] = gate.shape[1]
            sizes["reduction"] = gate.shape[1] // max(gate.shape[0], 1)
        return read_settings({"architecture": self.id, **sizes, **known}, source=path.name)
