"""MST++ as the rest of the package sees it; torch is needed only to build one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from napari_drcr.models.architecture import Architecture, ForeignLayout, NetworkSettings

if TYPE_CHECKING:
    from napari_drcr.models.spectral_attention.mst import MSTPlusPlus

TOOLBOX = "the toolbox of the NTIRE 2022 winners"


def _numbers(state: Mapping[str, Any], start: str) -> int:
    """How many different numbers follow the start of names."""
    return len({name.removeprefix(start).split(".")[0] for name in state if name.startswith(start)})


class MSTPlusPlusSettings(NetworkSettings):
    """Sizes of `napari_drcr.models.spectral_attention.mst.MSTPlusPlus`."""

    architecture: Literal["mst_plus_plus"] = "mst_plus_plus"
    stages: int = Field(default=1, ge=1)
    """U-Nets one after another; the paper has 3."""


class MSTPlusPlusArchitecture(Architecture):
    """MST++: attention between channels in a chain of small U-Nets."""

    id = "mst_plus_plus"
    title = "MST++"
    paper = (
        "Cai et al., MST++: Multi-stage Spectral-wise Transformer for Efficient Spectral Reconstruction, CVPR Workshops 2022"
    )
    year = 2022
    rank = "1st of NTIRE 2022"
    family = "spectral attention"
    settings = MSTPlusPlusSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": MSTPlusPlusSettings(stages=3),
        "small": MSTPlusPlusSettings(),
    }
    multiple = 8
    foreign = (
        ForeignLayout(
            source=TOOLBOX,
            marks=tuple(
                f"body.0.{part}" for part in ("embedding", "encoder_layers", "bottleneck", "decoder_layers", "mapping")
            ),
            normalisation="range",
        ),
    )

    def build(self, settings: MSTPlusPlusSettings, bands: int) -> MSTPlusPlus:
        """See `Architecture.build`."""
        from napari_drcr.models.spectral_attention.mst import MSTPlusPlus

        return MSTPlusPlus(bands, settings.stages)

    def infer(self, path: Path, known: Mapping[str, Any], state: Mapping[str, Any]) -> NetworkSettings:
        """See `Architecture.infer`."""
        return super().infer(path, {**known, "stages": _numbers(state, "body.")}, state)
