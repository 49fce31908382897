"""What the U-Nets tell about themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from napari_drcr.models.architecture import Architecture, ForeignLayout, NetworkSettings, read_settings

if TYPE_CHECKING:
    from torch import Tensor

    from napari_drcr.models.u_net.network import BasisUNet, IMRNet, StarSpectralNet, StiebelUNet

NTIRE_2022 = "Arad et al., NTIRE 2022 Spectral Recovery Challenge and Data Set, CVPR Workshops 2022"
BASIS_STRIDE = 4
"""Of the training scenes every so many rows and columns are looked at for a basis."""


class StiebelSettings(NetworkSettings):
    """Sizes of `napari_drcr.models.u_net.network.StiebelUNet`."""

    architecture: Literal["stiebel"] = "stiebel"
    channels: int = Field(default=16, ge=1)
    """Of the first level; the paper has 32."""
    levels: int = Field(default=4, ge=1, le=7)
    """How often the map shrinks by two pixels; the paper has 5."""


class Stiebel(Architecture):
    """Stiebel's U-Net, which looks as many pixels around it as its maps shrink."""

    id = "stiebel"
    title = "Stiebel U-Net"
    paper = "Stiebel et al., Reconstructing Spectral Images from RGB-Images Using a Convolutional Neural Network, CVPR Workshops 2018"
    year = 2018
    family = "U-Net"
    learning_rate = 1e-3
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
    learning_rate = 1e-3
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


class StarSpectralSettings(NetworkSettings):
    """Sizes of `napari_drcr.models.u_net.network.StarSpectralNet`."""

    architecture: Literal["star_spectral"] = "star_spectral"
    channels: int = Field(default=16, ge=2)
    """Of the U-Net at full size; they double with each step."""
    steps: int = Field(default=3, ge=1, le=3)
    """How often its maps are halved."""


class StarSpectral(Architecture):
    """The entry of star-spectral: a U-Net that cleans the image, and a matrix for the whole image."""

    id = "star_spectral"
    title = "star-spectral"
    paper = f"Team star-spectral in {NTIRE_2022}"
    year = 2022
    rank = "9th of NTIRE 2022"
    family = "U-Net"
    assumptions = (
        "The U-Net is that of StaffsCVL with the widths 16, 32, 64 and 128 and two densely connected convolutions for each size, "
        "and adds to the image.",
        "The means of its smallest map enter the three fully connected layers.",
        "Both parts are trained at once, with the learning rate 4e-4.",
    )
    settings = StarSpectralSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": StarSpectralSettings(channels=16, steps=3),
        "small": StarSpectralSettings(),
    }
    multiple = 8

    def build(self, settings: StarSpectralSettings, bands: int) -> StarSpectralNet:
        """See `Architecture.build`."""
        from napari_drcr.models.u_net.network import StarSpectralNet

        return StarSpectralNet(bands, settings.channels, settings.steps)


class IMRNetSettings(NetworkSettings):
    """Sizes of `napari_drcr.models.u_net.network.IMRNet`."""

    architecture: Literal["imrnet"] = "imrnet"
    channels: int = Field(default=8, ge=1)
    """Of the U-Net at full size; they double with each step."""
    steps: int = Field(default=3, ge=1, le=4)
    """How often the maps of the U-Net are halved."""
    features: int = Field(default=32, ge=16)
    """Channels of the decoder."""
    blocks: int = Field(default=3, ge=1)
    """Dual residual attention blocks of the decoder."""
    non_local: bool = False
    """Whether attention between all pixels of a quadrant (PSNL) comes last; slow on large images."""


class IMRNets(Architecture):
    """The entry of OPT KLSIT: a U-Net to the three maps of a learned camera, and AWAN from there."""

    id = "imrnet"
    title = "IMRnet"
    paper = f"Team OPT KLSIT in {NTIRE_2022}"
    year = 2022
    rank = "11th of NTIRE 2022"
    family = "U-Net"
    assumptions = (
        "The U-Net is that of StaffsCVL with reflection padding, 32 channels at full size, and a gain and a bias for each of its maps.",
        "The decoder is AWAN with 64 channels and 4 blocks, and starts like it.",
        "The encoder of cubes, which only prepares the decoder, is left out: U-Net and decoder are trained at once.",
    )
    learning_rate = 1e-4
    settings = IMRNetSettings
    presets: ClassVar[Mapping[str, NetworkSettings]] = {
        "published": IMRNetSettings(channels=32, steps=4, features=64, blocks=4, non_local=True),
        "small": IMRNetSettings(),
    }
    multiple = 32  # Twice what four steps need: reflection takes two pixels of the smallest map.

    def build(self, settings: IMRNetSettings, bands: int) -> IMRNet:
        """See `Architecture.build`."""
        from napari_drcr.models.u_net.network import IMRNet

        return IMRNet(
            bands, settings.channels, settings.steps, settings.features, settings.blocks, non_local=settings.non_local
        )
