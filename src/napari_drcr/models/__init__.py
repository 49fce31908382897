"""Models: what every network offers (`architecture`), files in and out (`store`), and the networks themselves.

The networks that come along are registered here, and after them those that other installed packages name as entry points of the group
``napari_drcr.architectures``, each a subclass of `napari_drcr.models.architecture.Architecture`.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from napari_drcr.models.architecture import register
from napari_drcr.models.awan.architecture import AWAN
from napari_drcr.models.dense.architecture import HSCNND, HSCNNDPlus, HSCNNPlus
from napari_drcr.models.drcr.architecture import DRCR
from napari_drcr.models.function_mixture.architecture import FMNet, ImprovedFMNet
from napari_drcr.models.ivl.architecture import FastArchitecture, FastNSqueezeArchitecture, SqueezeArchitecture
from napari_drcr.models.log_residual.architecture import LogResidual
from napari_drcr.models.pixel_map import PixelMaps
from napari_drcr.models.ponet.architecture import PoNetPlus
from napari_drcr.models.pyramid.architecture import CSANArchitecture, HRNetArchitecture
from napari_drcr.models.rda.architecture import ResidualDenseAttention
from napari_drcr.models.residual.architecture import EDSR, HSCNNR, RPAN, FixupResNet, ImprovedHSCNNPlus, MeanResidual
from napari_drcr.models.residual.attentive import DRCA, HAN, HANECA, RCAN, RDAN, RCANChain
from napari_drcr.models.spectral_attention.architecture import (
    MSTLArchitecture,
    MSTPlusPlusArchitecture,
    RestormerArchitecture,
)
from napari_drcr.models.u_net.architecture import BasisUNets, IMRNets, StarSpectral, Stiebel

register(DRCR())
register(PixelMaps())
register(MSTPlusPlusArchitecture())
register(MSTLArchitecture())
register(RestormerArchitecture())
register(AWAN())
register(HAN())
register(HANECA())
register(RCAN())
register(RCANChain())
register(RDAN())
register(DRCA())
register(HSCNNR())
register(EDSR())
register(FixupResNet())
register(ImprovedHSCNNPlus())
register(RPAN())
register(MeanResidual())
register(LogResidual())
register(HSCNND())
register(HSCNNPlus())
register(HSCNNDPlus())
register(FMNet())
register(ImprovedFMNet())
register(PoNetPlus())
register(HRNetArchitecture())
register(CSANArchitecture())
register(Stiebel())
register(BasisUNets())
register(StarSpectral())
register(IMRNets())
register(ResidualDenseAttention())
register(FastArchitecture())
register(SqueezeArchitecture())
register(FastNSqueezeArchitecture())
for _found in entry_points(group="napari_drcr.architectures"):
    register(_found.load()())
