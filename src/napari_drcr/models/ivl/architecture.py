"""What IVL's networks tell about themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from napari_drcr.models.architecture import Architecture, NetworkSettings

if TYPE_CHECKING:
    from torch import Tensor

    from napari_drcr.models.ivl.network import Retrieval

PAPER = "Arad et al., NTIRE 2022 Spectral Recovery Challenge and Data Set, CVPR Workshops 2022 (team IVL)"
TRAINING_SCENES = 900
"""Of the challenge."""
RETRIEVAL = (
    "Images look alike by mean, standard deviation and five quantiles of each channel, divided by the image's maximum, and by the logarithm of "
    "the mean brightness, each standardised over the training scenes; quantiles are read from a histogram of 1024 bins.",
    "The median is taken of the 15 nearest scenes by Euclidean distance; of fewer scenes, of all.",
    "The matrices of the training scenes are only the start: they learn on, each where the median took an entry from it.",
    "A training crop is looked at as an image of its own.",
)
FACTOR = (
    "The factor is one of SqueezeNet 1.1 with a single output and its last ReLU, on the image resized without anti-aliasing.",
    "SqueezeNet starts from random weights, not from those of ImageNet, and its factor from 1.",
    "One network gives the factor, where the entry weighted those of two checkpoints.",
)


class RetrievalSettings(NetworkSettings):
    """Sizes that all three have in common."""

    scenes: int = Field(default=64, ge=1)
    """Training scenes whose matrices are kept, evenly chosen where there are more; the challenge had 900."""
    neighbours: int = Field(default=15, ge=1, validate_default=True)
    """Scenes that the median is taken of."""

    @field_validator("neighbours")
    @classmethod
    def _are_there(cls, neighbours: int, found: ValidationInfo) -> int:
        if neighbours > (scenes := found.data.get("scenes", neighbours)):
            raise ValueError(f"there are no {neighbours} neighbours among {scenes} scenes")
        return neighbours


class FastSettings(RetrievalSettings):
    """Sizes of `napari_drcr.models.ivl.network.Fast`."""

    architecture: Literal["fast"] = "fast"


class SqueezeSettings(RetrievalSettings):
    """Sizes of `napari_drcr.models.ivl.network.Squeeze`."""

    architecture: Literal["squeeze"] = "squeeze"


class FastNSqueezeSettings(RetrievalSettings):
    """Sizes of `napari_drcr.models.ivl.network.Squeeze`, of which Fast-n-Squeeze takes half."""

    architecture: Literal["fast_n_squeeze"] = "fast_n_squeeze"


class _Retrieving(Architecture):
    """What the three have in common: the matrices of the training scenes."""

    paper = PAPER
    year = 2022
    rank = "7th of NTIRE 2022"
    family = "per pixel"
    learning_rate = 1e-4
    prepared = True

    def prepare(self, network: Any, scenes: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Every training scene gives its matrix, and what its image looks like."""
        import torch

        from napari_drcr.models.ivl.network import ColourStatistics, matrix_of

        statistics = ColourStatistics()
        found = [(matrix_of(rgb, cube), statistics(rgb[None])[0]) for rgb, cube in scenes]
        retrieval: Retrieval = getattr(network, "fast", network).retrieval
        retrieval.fill(*(torch.stack(values).float() for values in zip(*found, strict=True)))


class FastArchitecture(_Retrieving):
    """Fast: per image the median of the matrices of similar training scenes."""

    id = "fast"
    title = "Fast"
    assumptions = RETRIEVAL
    settings = FastSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": FastSettings(scenes=TRAINING_SCENES),
        "small": FastSettings(),
    }

    def build(self, settings: FastSettings, bands: int) -> Any:
        """See `Architecture.build`; the matrices are random until `prepare` sets them."""
        from napari_drcr.models.ivl.network import Fast

        return Fast(bands, settings.scenes, settings.neighbours)


class SqueezeArchitecture(_Retrieving):
    """Squeeze: Fast, times a factor that SqueezeNet finds for the image."""

    id = "squeeze"
    title = "Squeeze"
    assumptions = RETRIEVAL + FACTOR
    settings = SqueezeSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": SqueezeSettings(scenes=TRAINING_SCENES),
        "small": SqueezeSettings(),
    }

    def build(self, settings: SqueezeSettings, bands: int) -> Any:
        """See `Architecture.build`; the matrices are random until `prepare` sets them."""
        from napari_drcr.models.ivl.network import Squeeze

        return Squeeze(bands, settings.scenes, settings.neighbours)


class FastNSqueezeArchitecture(_Retrieving):
    """Fast-n-Squeeze: the mean of Fast and Squeeze."""

    id = "fast_n_squeeze"
    title = "Fast-n-Squeeze"
    assumptions = RETRIEVAL + FACTOR
    settings = FastNSqueezeSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": FastNSqueezeSettings(scenes=TRAINING_SCENES),
        "small": FastNSqueezeSettings(),
    }

    def build(self, settings: FastNSqueezeSettings, bands: int) -> Any:
        """See `Architecture.build`; the matrices are random until `prepare` sets them."""
        from napari_drcr.models.ivl.network import Squeeze

        return Squeeze(bands, settings.scenes, settings.neighbours, share=0.5)
