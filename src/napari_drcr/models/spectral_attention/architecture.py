"""The spectral transformers as the rest of the package sees them; torch is needed only to build one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from napari_drcr.errors import InputError
from napari_drcr.models.architecture import Architecture, ForeignLayout, NetworkSettings

if TYPE_CHECKING:
    from napari_drcr.models.spectral_attention.mst import MSTL, MSTPlusPlus
    from napari_drcr.models.spectral_attention.restormer import Restormer

TOOLBOX = "the toolbox of the NTIRE 2022 winners"
Blocks = Annotated[int, Field(ge=1)]


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


class MSTLSettings(NetworkSettings):
    """Sizes and options of `napari_drcr.models.spectral_attention.mst.MSTL`."""

    architecture: Literal["mst_l"] = "mst_l"
    blocks: tuple[Blocks, Blocks, Blocks] = (1, 1, 1)
    """At full, half and quarter resolution; the published network has 4, 7 and 5."""
    mask_of_first: bool = False
    """Whether all images of a batch share the mask of the first, as in the published network. A single image is estimated the same."""

    def summary(self) -> str:
        """Such as "4 + 7 + 5 blocks"."""
        return f"{' + '.join(map(str, self.blocks))} blocks"


class MSTLArchitecture(Architecture):
    """MST-L: the predecessor of MST++, a U-Net guided by a mask that is made from the image."""

    id = "mst_l"
    title = "MST-L"
    paper = "Cai et al., Mask-guided Spectral-wise Transformer for Efficient Hyperspectral Image Reconstruction, CVPR 2022"
    year = 2022
    family = "spectral attention"
    settings = MSTLSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": MSTLSettings(blocks=(4, 7, 5), mask_of_first=True),
        "small": MSTLSettings(),
    }
    multiple = 8
    foreign = (
        ForeignLayout(
            source=TOOLBOX,
            marks=("embedding_1", "embedding_2", "encoder_layers", "bottleneck", "decoder_layers", "mapping"),
            normalisation="range",
            hints={"mask_of_first": True},
        ),
    )

    def build(self, settings: MSTLSettings, bands: int) -> MSTL:
        """See `Architecture.build`."""
        from napari_drcr.models.spectral_attention.mst import MSTL

        return MSTL(bands, settings.blocks, mask_of_first=settings.mask_of_first)

    def infer(self, path: Path, known: Mapping[str, Any], state: Mapping[str, Any]) -> NetworkSettings:
        """See `Architecture.infer`."""
        levels = ("encoder_layers.0.0", "encoder_layers.1.0", "bottleneck")
        blocks = tuple(_numbers(state, f"{level}.blocks.") for level in levels)
        return super().infer(path, {**known, "blocks": blocks}, state)


class RestormerSettings(NetworkSettings):
    """Sizes of `napari_drcr.models.spectral_attention.restormer.Restormer`."""

    architecture: Literal["restormer"] = "restormer"
    channels: int = Field(default=16, ge=2, multiple_of=2)
    """At full resolution, twice as many at every coarser one; the toolbox of the NTIRE 2022 winners has 48."""
    blocks: tuple[Blocks, Blocks, Blocks, Blocks] = (1, 1, 1, 1)
    """At full, half, quarter and eighth resolution; the toolbox of the NTIRE 2022 winners has 2, 3, 3 and 4."""
    refinement: int = Field(default=1, ge=0)
    """Blocks after the decoder; the toolbox of the NTIRE 2022 winners has 3."""

    def summary(self) -> str:
        """Such as "48 channels, 2 + 3 + 3 + 4 blocks"."""
        return f"{self.channels} channels, {' + '.join(map(str, self.blocks))} blocks"


class RestormerArchitecture(Architecture):
    """Restormer: a general network for restoring images, a peer in the toolbox of the NTIRE 2022 winners."""

    id = "restormer"
    title = "Restormer"
    paper = "Zamir et al., Restormer: Efficient Transformer for High-Resolution Image Restoration, CVPR 2022"
    year = 2022
    family = "spectral attention"
    learning_rate = 2e-4
    settings = RestormerSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": RestormerSettings(channels=48, blocks=(2, 3, 3, 4), refinement=3),
        "small": RestormerSettings(),
    }
    multiple = 8
    foreign = (
        ForeignLayout(
            source=TOOLBOX,
            marks=("patch_embed", "encoder_level", "latent", "reduce_chan_level", "decoder_level"),
            normalisation="range",
        ),
    )

    def build(self, settings: RestormerSettings, bands: int) -> Restormer:
        """See `Architecture.build`."""
        from napari_drcr.models.spectral_attention.restormer import Restormer

        return Restormer(bands, settings.channels, settings.blocks, settings.refinement)

    def infer(self, path: Path, known: Mapping[str, Any], state: Mapping[str, Any]) -> NetworkSettings:
        """See `Architecture.infer`."""
        first = state.get("patch_embed.proj.weight")
        if first is None or first.ndim != 4:
            raise InputError(f"{path.name} lacks the first convolution of {self.title}, patch_embed.proj.weight.")
        levels = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
        blocks = tuple(_numbers(state, f"{level}.") for level in levels)
        refinement = _numbers(state, "refinement.")
        return super().infer(
            path, {**known, "channels": int(first.shape[0]), "blocks": blocks, "refinement": refinement}, state
        )
