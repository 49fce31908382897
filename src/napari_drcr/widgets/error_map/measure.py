"""What is mapped, what a map says about itself, and how large the errors of maps are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Layer

from napari_drcr.analysis.metrics import metric_name
from napari_drcr.widgets.viewer.layers import MAP_KEY, PROVENANCE_KEY

SAMPLE = 400_000
"""How many values of all maps a percentile is taken of."""


class Measure(NamedTuple):
    """What is mapped: "relative", "absolute", "sam" or "difference", and the floor of relative errors."""

    metric: str
    floor: float | None

    @property
    def band_name(self) -> str:
        """Of the map of each band."""
        if self.metric == "difference":
            return "difference by band"
        return f"{self.metric} error{f' (floor {self.floor:g})' if self.metric == 'relative' and self.floor else ''} by band"

    @property
    def mean_name(self) -> str:
        """Of the map over all bands."""
        if self.metric == "difference":
            return "mean difference"
        return metric_name({"relative": "mrae", "absolute": "rmse", "sam": "sam"}[self.metric], self.floor)


def map_facts(layer: Layer) -> Mapping[str, Any] | None:
    """What an error map says about itself: its ``metadata["napari_drcr"]``; None of a layer that is no error map.

    There are ``metric``, ``floor``, ``truth``, ``estimate``, ``model``, ``left_out_share`` of all entries and ``gray_share`` of
    what the map shows.
    """
    facts = layer.metadata.get(PROVENANCE_KEY)
    if isinstance(layer, Image) and isinstance(facts, dict) and {MAP_KEY, "metric", "floor", "truth", "estimate"} <= set(facts):
        return facts
    return None


def percentile(maps: Sequence[npt.NDArray[Any]], share: float = 95.0) -> float:
    """The magnitude, above 0, below which so many percent of the errors in all maps are.

    NaN do not count. Of large maps only every n-th pixel is taken.
    """
    step = max(1, int(np.ceil(np.sqrt(sum(values.size for values in maps) / SAMPLE))))
    sample = np.concatenate([np.abs(values[..., ::step, ::step]).ravel() for values in maps] or [np.zeros(1)])
    known = sample[np.isfinite(sample)]
    return max(1e-6, float(np.percentile(known, share))) if known.size else 1.0


def percent(share: float) -> str:
    """A share, from 0 to 1, in percent as the dock writes it."""
    return (f"{100 * share:.1f} %" if share >= 0.0005 else "under 0.1 %").replace(" %", "\N{NO-BREAK SPACE}%")
