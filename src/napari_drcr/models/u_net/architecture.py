"""What the U-Nets tell about themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from napari_drcr.models.architecture import Architecture, ForeignLayout, NetworkSettings, read_settings

if TYPE_CHECKING:
    from torch import Tensor

    from napari_drcr.models.u_net.network import BasisUNet, StiebelUNet

BASIS_STRIDE = 4
"""Of the training scenes every so many rows and columns are looked at for a basis."""


class StiebelSettings(NetworkSettings):
    """Sizes of `napari_drcr.models.u_net.network.StiebelUNet`."""

    architecture: Literal["stiebel"] = "stiebel"
    channels: int = Field(default=16, ge=1)
    """Of the first level; the paper has 32."""
    levels: int = Field(default=4, ge=1, le=32)
    """How often the map shrinks by two pixels; the paper has 5."""


class Stiebel(Architecture):
    """Stiebel's U-Net, which looks as many pixels around it as its maps shrink."""

    id = "stiebel"
    title = "Stiebel U-Net"
    paper = "Stiebel et al., Reconstructing Spectral Images from RGB-Images Using a Convolutional Neural Network, CVPR Workshops 2018"
    year = 2018
    family = "U-Net"
    learning_rate = 1e-4
    settings = StiebelSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": StiebelSettings(channels=32, levels=5),
        "small": StiebelSettings(),
    }
    foreign = (ForeignLayout(source="the authors", marks=("model.down.",), normalisation="bytes"),)

    def build(self, settings: StiebelSettings, bands: int) -> StiebelUNet:
        """See `Architecture.build`."""
        from napari_drcr.models.u_net.network import StiebelUNet

        return StiebelUNet(bands, settings.channels, settings.levels)

    def infer(self, path: Path, known: Mapping[str, Any], state: Mapping[str, Any]) -> NetworkSettings:
        """Everything follows from names and shapes."""
        found = {"levels": sum(name.endswith("down.0.weight") for name in state)}
        if (first := state.get("model.down.0.weight")) is not None and first.ndim:
            found["channels"] = len(first)
        return read_settings({"architecture": self.id, **found, **known}, source=path.name)


class BasisUNetSettings(NetworkSettings):
    """Sizes of `napari_drcr.models.u_net.network.BasisUNet`."""

    architecture: Literal["basis_u_net"] = "basis_u_net"
    channels: int = Field(default=12, ge=1)
    """At full size; they double with each step."""
    steps: int = Field(default=3, ge=1, le=4)
    """How often maps are halved; the paper has 4."""
    basis: int = Field(default=10, ge=1)
    """Basis functions that spectra are sums of; the paper has 10."""


class BasisUNets(Architecture):
    """The U-Net of StaffsCVL, whose spectra are sums of a learned basis."""

    id = "basis_u_net"
    title = "Basis U-Net"
    paper = (
        "Fubara, Sedky and Dyke, RGB to Spectral Reconstruction via Learned Basis Functions and Weights, CVPR Workshops 2020"
    )
    year = 2020
    rank = "8th of NTIRE 2020 (real world), 10th (clean)"
    family = "U-Net"
    assumptions = (
        "The widths are 32, 64, 128, 256 and 512.",
        "Each size has two convolutions with ReLU; maps are halved by convolutions 2x2 without bias and doubled by transposed ones.",
        "The basis starts from the first right singular vectors of the training spectra.",
    )
    learning_rate = 1e-4
    settings = BasisUNetSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": BasisUNetSettings(channels=32, steps=4),
        "small": BasisUNetSettings(),
    }
    multiple = 16
    prepared = True

    def build(self, settings: BasisUNetSettings, bands: int) -> BasisUNet:
        """See `Architecture.build`; the basis is random until `prepare` sets it."""
        from napari_drcr.models.u_net.network import BasisUNet

        return BasisUNet(bands, settings.channels, settings.steps, settings.basis)

    def prepare(self, network: BasisUNet, scenes: Iterable[tuple[Tensor, Tensor]]) -> None:
        """The basis becomes the first right singular vectors of the training spectra, of every fourth row and column."""
        import torch

        weight = network.basis.weight  # (bands, basis, 1, 1)
        products = torch.zeros(len(weight), len(weight), dtype=torch.float64)
        for _, cube in scenes:
            spectra = cube[:, ::BASIS_STRIDE, ::BASIS_STRIDE].flatten(1).to(products)
            products += spectra @ spectra.T
        # The right singular vectors of all spectra are the eigenvectors of their products, which come in ascending order.
        vectors = torch.linalg.eigh(products).eigenvectors.flip(1)
        count = min(vectors.shape[1], weight.shape[1])
        with torch.no_grad():
            weight[:, :count, 0, 0] = vectors[:, :count].to(weight)
