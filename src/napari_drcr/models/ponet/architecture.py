"""What PoNet+ tells about itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from napari_drcr.errors import InputError
from napari_drcr.models.architecture import Architecture, ForeignLayout, NetworkSettings, read_settings
from napari_drcr.models.parameters import some

if TYPE_CHECKING:
    from torch import Tensor

    from napari_drcr.models.ponet.network import PoNet

FIRST_MODULES = {
    f"{name}.1": f"groups.{group}.{layer}"
    for layer, names in ((0, ("conv_B", "conv_G", "conv_R")), (2, ("convinputb", "convinputg", "convinputr")))
    for group, name in enumerate(names)
}
"""Before the stages: modules as published, and ours."""
STAGE_MODULES = {
    "conv.1": "gradient.0",
    "e.fc1": "data_weight.shared.0",
    "e.fc2": "data_weight.shared.2",
    "HSI.conv1.1": "prior.residual.0",
    "HSI.conv2": "prior.residual.2",
    "HSI.conv3.1": "prior.last.0",
    "en.fc1": "prior_weight.shared.0",
    "en.fc2": "prior_weight.shared.2",
}
"""Within a stage, whose number is published behind the first word, counted from 1."""


class PoNetSettings(NetworkSettings):
    """Sizes and options of `napari_drcr.models.ponet.network.PoNet`."""

    architecture: Literal["ponet_plus"] = "ponet_plus"
    stages: int = Field(default=4, ge=1)
    """Steps of the optimisation; the challenge's network has 8."""
    channels: int = Field(default=128, ge=1)
    """Hidden channels of a stage's prior."""
    differences: Literal["signed", "absolute"] = "signed"
    """Between neighbouring colours, which the first layer takes beside the RGB; some published code takes absolute ones."""


class PoNetPlus(Architecture):
    """PoNet+, also from the parameters of its authors' networks."""

    id = "ponet_plus"
    title = "PoNet+"
    paper = (
        "He et al., Spectral Response Function-Guided Deep Optimization-Driven Network for Spectral Super-Resolution, "
        "IEEE Transactions on Neural Networks and Learning Systems 2022"
    )
    year = 2022
    rank = "8th of NTIRE 2022"
    family = "unrolled"
    assumptions = (
        "It follows the code of the entry, which has no cross-dimensional attention and no cross-depth fusion, unlike the report.",
        "Other numbers of bands than 31 are split among blue, green and red in the same shares.",
        "Networks of the authors take RGB values of which white is 1.",
    )
    learning_rate = 1e-4
    settings = PoNetSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {"published": PoNetSettings(stages=8), "small": PoNetSettings()}
    foreign = (ForeignLayout(source="the authors", marks=("HSI1.", "convinputb."), normalisation="white"),)

    def build(self, settings: PoNetSettings, bands: int) -> PoNet:
        """See `Architecture.build`."""
        from napari_drcr.models.ponet.network import PoNet

        return PoNet(bands=bands, **settings.model_dump(exclude={"architecture"}))

    def rename(self, path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Architecture.rename`."""
        renamed, surplus = {}, []
        for name, value in state.items():
            module, _, parameter = name.rpartition(".")
            staged = re.fullmatch(r"([a-zA-Z]+)(\d+)(\..+)", module)
            if module in FIRST_MODULES:
                renamed[f"{FIRST_MODULES[module]}.{parameter}"] = value
            elif staged and staged[1] + staged[3] in STAGE_MODULES:
                renamed[f"stages.{int(staged[2]) - 1}.{STAGE_MODULES[staged[1] + staged[3]]}.{parameter}"] = value
            else:
                surplus.append(name)
        if surplus:
            raise InputError(f"{path.name} has parameters that {self.title} does not: {some(surplus)}.")
        return renamed

    def infer(self, path: Path, known: Mapping[str, Any], state: Mapping[str, Any]) -> NetworkSettings:
        """All but ``differences`` follows from names and shapes."""
        found = {"stages": len({name.split(".")[1] for name in state if name.startswith("stages.")})}
        hidden = state.get("stages.0.prior.residual.0.weight")
        if hidden is not None and hidden.ndim == 4:
            found["channels"] = int(hidden.shape[0])
        return read_settings({"architecture": self.id, **found, **known}, source=path.name)
