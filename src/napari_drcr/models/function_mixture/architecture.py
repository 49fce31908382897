"""What function-mixture networks tell about themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from napari_drcr.models.architecture import Architecture, ForeignLayout, NetworkSettings, read_settings

if TYPE_CHECKING:
    from torch import Tensor

    from napari_drcr.models.function_mixture.network import FunctionMixtureNet

PUBLISHED = {
    r"input\.": "first.",
    r"convs\.(\d+)\.0\.conv\.": r"blocks.\1.0.",
    r"dics\.(\d+)\.base\.": r"blocks.\1.2.functions.",
    r"reps\.(\d+)\.": r"blocks.\1.2.weights.",
    r"cdic\.base\.": "collect.functions.",
    r"crep\.": "collect.weights.",
    r"odic\.base\.": "last.functions.",
    r"orep\.": "last.weights.",
}
"""Beginnings of names as published, and ours."""
WITHIN = {
    r"functions\.(\d+)\.input\.": r"functions.\1.0.",
    r"functions\.(\d+)\.output\.": r"functions.\1.2.",
    r"weights\.input\.": "weights.first.",
    r"weights\.conv2\.(\d+)\.conv\.": r"weights.inner.\1.",
    r"weights\.output\.": "weights.last.",
}
"""The same within a mixture."""


class MixtureSettings(NetworkSettings):
    """Sizes of any `napari_drcr.models.function_mixture.network.FunctionMixtureNet`."""

    channels: int = Field(default=16, ge=1)
    """Of every feature map; the paper has 64."""
    blocks: int = Field(default=2, ge=1)
    """Mixtures before the last two; the paper has 4."""
    mixing_layers: int = Field(default=3, ge=0)
    """Inner convolutions of the weights of a mixture; some published code has one."""

    def summary(self) -> str:
        """Such as "64 channels, 4 blocks"."""
        return f"{self.channels} channels, {self.blocks} blocks"


class FMNetSettings(MixtureSettings):
    """Sizes of the published network."""

    architecture: Literal["fmnet"] = "fmnet"


class FMNet(Architecture):
    """FMNet, also from checkpoints of its authors: local, so exact in tiles."""

    id = "fmnet"
    title = "FMNet"
    paper = "Zhang et al., Pixel-aware Deep Function-mixture Network for Spectral Super-Resolution, AAAI 2020"
    year = 2020
    family = "residual"
    learning_rate = 1e-4
    settings: ClassVar[type[NetworkSettings]] = FMNetSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": FMNetSettings(channels=64, blocks=4),
        "small": FMNetSettings(),
    }
    foreign: ClassVar[tuple[ForeignLayout, ...]] = (
        ForeignLayout(source="the authors", marks=("dics.", "cdic.", "odic."), normalisation="white"),
    )

    def build(self, settings: MixtureSettings, bands: int) -> FunctionMixtureNet:
        """See `Architecture.build`."""
        from napari_drcr.models.function_mixture.network import FunctionMixtureNet

        return FunctionMixtureNet(bands=bands, **settings.model_dump(exclude={"architecture"}))

    def rename(self, path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Architecture.rename`; a name of another layout stays, and is refused with the parameters."""
        return {_ours(name): value for name, value in state.items()}

    def infer(self, path: Path, known: Mapping[str, Any], state: Mapping[str, Any]) -> NetworkSettings:
        """All but the reduction of the improved network follows from names and shapes."""
        found = {
            "blocks": len({name.split(".")[1] for name in state if name.startswith("blocks.")}),
            "mixing_layers": sum(name.startswith("last.weights.inner.") for name in state),
        }
        first = state.get("first.weight")
        if first is not None and first.ndim == 4:
            found["channels"] = int(first.shape[0])
        return read_settings({"architecture": self.id, **found, **known}, source=path.name)


def _ours(name: str) -> str:
    """Our name of a published parameter."""
    for theirs, ours in PUBLISHED.items():
        name = re.sub(rf"^{theirs}", ours, name)
    for theirs, ours in WITHIN.items():
        name = re.sub(theirs, ours, name)
    return name


class ImprovedFMNetSettings(MixtureSettings):
    """Sizes of the improved network."""

    architecture: Literal["fmnet_improved"] = "fmnet_improved"
    reduction: int = Field(default=16, ge=1)
    """By which squeeze and excitation narrows the channels, to 4 at least."""


class ImprovedFMNet(FMNet):
    """The function mixture as its authors entered it in NTIRE 2020, from the report."""

    id = "fmnet_improved"
    title = "FMNet, improved"
    paper = "Arad et al., NTIRE 2020 Challenge on Spectral Reconstruction from an RGB Image, CVPR Workshops 2020 (MDISL-lab)"
    rank = "2nd of NTIRE 2020 (clean), 2nd (real world)"
    family = "channel attention"
    assumptions = (
        "The three functions of a mixture are chains of two, four and six 3x3 convolutions.",
        "Squeeze and excitation has a reduction of 16, but 4 channels at least, and follows every function and every mixture.",
        "There are 4 mixtures before the last two, and everything else is as in FMNet.",
    )
    learning_rate = 3e-4
    settings = ImprovedFMNetSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": ImprovedFMNetSettings(channels=64, blocks=4),
        "small": ImprovedFMNetSettings(),
    }
    foreign = ()
