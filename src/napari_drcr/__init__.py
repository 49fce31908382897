"""RGB to hyperspectral cubes with DRCR Net, in napari and without it."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_drcr.analysis.evaluation import evaluate as evaluate
    from napari_drcr.analysis.figures import comparison_figure as comparison_figure
    from napari_drcr.analysis.metrics import error_cube as error_cube
    from napari_drcr.analysis.metrics import error_curve as error_curve
    from napari_drcr.analysis.metrics import error_map as error_map
    from napari_drcr.analysis.metrics import mean_map as mean_map
    from napari_drcr.analysis.metrics import mrae as mrae
    from napari_drcr.analysis.metrics import psnr as psnr
    from napari_drcr.analysis.metrics import rmse as rmse
    from napari_drcr.analysis.metrics import sam as sam
    from napari_drcr.analysis.plausibility import assess_plausibility as assess_plausibility
    from napari_drcr.camera import Camera as Camera
    from napari_drcr.camera.simulation import simulate as simulate
    from napari_drcr.cubes.cube import make_cube as make_cube
    from napari_drcr.cubes.cube import relight as relight
    from napari_drcr.cubes.cube import resample as resample
    from napari_drcr.cubes.rendering import render_false_colour as render_false_colour
    from napari_drcr.cubes.rendering import render_srgb as render_srgb
    from napari_drcr.errors import Cancelled as Cancelled
    from napari_drcr.errors import InputError as InputError
    from napari_drcr.errors import Notice as Notice
    from napari_drcr.inference.familiarity import unfamiliarity as unfamiliarity
    from napari_drcr.inference.reconstruction import iter_reconstruct as iter_reconstruct
    from napari_drcr.inference.reconstruction import reconstruct as reconstruct
    from napari_drcr.io import read_cube as read_cube
    from napari_drcr.io import read_rgb as read_rgb
    from napari_drcr.io import write_cube as write_cube
    from napari_drcr.models.drcr.network import DRCRNet as DRCRNet
    from napari_drcr.models.store import load_model as load_model
    from napari_drcr.models.store import save_model as save_model

__version__ = version("napari-drcr")

_HOME = {
    "Camera": "camera",
    "Cancelled": "errors",
    "DRCRNet": "models.drcr.network",
    "InputError": "errors",
    "Notice": "errors",
    "assess_plausibility": "analysis.plausibility",
    "comparison_figure": "analysis.figures",
    "error_cube": "analysis.metrics",
    "error_curve": "analysis.metrics",
    "error_map": "analysis.metrics",
    "evaluate": "analysis.evaluation",
    "iter_reconstruct": "inference.reconstruction",
    "load_model": "models.store",
    "make_cube": "cubes.cube",
    "mean_map": "analysis.metrics",
    "mrae": "analysis.metrics",
    "psnr": "analysis.metrics",
    "read_cube": "io",
    "read_rgb": "io",
    "reconstruct": "inference.reconstruction",
    "relight": "cubes.cube",
    "render_false_colour": "cubes.rendering",
    "render_srgb": "cubes.rendering",
    "resample": "cubes.cube",
    "rmse": "analysis.metrics",
    "sam": "analysis.metrics",
    "save_model": "models.store",
    "simulate": "camera.simulation",
    "unfamiliarity": "inference.familiarity",
    "write_cube": "io",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    # Loaded on first use: importing the package must stay cheap (PEP 562).
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
