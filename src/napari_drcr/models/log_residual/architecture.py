"""What the log-residual network tells about itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from napari_drcr.models.architecture import Architecture, NetworkSettings

if TYPE_CHECKING:
    from torch import Tensor

    from napari_drcr.models.log_residual.network import LogResidualNet


class LogResidualSettings(NetworkSettings):
    """Sizes and options of `napari_drcr.models.log_residual.network.LogResidualNet`."""

    architecture: Literal["log_residual"] = "log_residual"
    channels: int = Field(default=32, ge=1)
    """Of every feature map; the published preset has 48."""
    blocks: int = Field(default=4, ge=1)
    """How many follow one another; the published preset has 8."""
    start: Literal["polynomial", "linear"] = "polynomial"
    """The classical estimate: from R, G, B and the roots of their products, or from R, G, B alone."""


class LogResidual(Architecture):
    """The classical estimate times exp(residual): before the first step it equals the classical one; positive and purely local."""

    id = "log_residual"
    title = "log-residual network"
    paper = "napari-drcr, after Finlayson et al., Color Correction Using Root-Polynomial Regression, IEEE TIP 2015"
    year = 2026
    family = "residual"
    learning_rate = 1e-3
    precisions = ("fp32", "bf16")
    settings = LogResidualSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": LogResidualSettings(channels=48, blocks=8),
        "small": LogResidualSettings(),
    }
    prepared = True

    def build(self, settings: LogResidualSettings, bands: int) -> LogResidualNet:
        """See `Architecture.build`; every band starts from the mean of R, G and B until `prepare` fits the classical estimate."""
        from napari_drcr.models.log_residual.network import LogResidualNet

        return LogResidualNet(bands, **settings.model_dump(exclude={"architecture"}))

    def prepare(self, network: Any, scenes: Iterable[tuple[Tensor, Tensor]]) -> None:
        """See `Architecture.prepare`: fits the estimate, see `napari_drcr.models.log_residual.network.ClassicalEstimate.fit`."""
        network.start.fit(scenes)
