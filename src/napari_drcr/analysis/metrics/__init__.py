"""How far an estimate is from the truth: as a number, a map, a curve over bands, and a map for each band."""

from __future__ import annotations

from napari_drcr.analysis.metrics.per_band import ENTRY_METRICS, error_cube, mean_curve, mean_map
from napari_drcr.analysis.metrics.scores import Scores, scores
from napari_drcr.analysis.metrics.totals import (
    METRICS,
    counts_for_mrae,
    error_curve,
    error_map,
    metric_name,
    mrae,
    psnr,
    rmse,
    sam,
)
from napari_drcr.analysis.metrics.worst import WorstPixel, worst_pixels

__all__ = [
    "ENTRY_METRICS",
    "METRICS",
    "Scores",
    "WorstPixel",
    "counts_for_mrae",
    "error_cube",
    "error_curve",
    "error_map",
    "mean_curve",
    "mean_map",
    "metric_name",
    "mrae",
    "psnr",
    "rmse",
    "sam",
    "scores",
    "worst_pixels",
]
