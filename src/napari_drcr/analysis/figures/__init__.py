"""Figures for people: the demo's, and the comparison of models that papers print."""

from __future__ import annotations

from napari_drcr.analysis.figures._page import FIGURE_SUFFIXES, NO_ERROR, save_figure
from napari_drcr.analysis.figures.comparison import comparison_figure, draw_comparison
from napari_drcr.analysis.figures.demo import demo_figure

__all__ = ["FIGURE_SUFFIXES", "NO_ERROR", "comparison_figure", "demo_figure", "draw_comparison", "save_figure"]
