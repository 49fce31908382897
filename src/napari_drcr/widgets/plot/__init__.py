"""The plot that the docks share: spectra over their wavelengths, and their relative errors in a strip below."""

from __future__ import annotations

from napari_drcr.widgets.plot.curves import Curve, LineStyle

__all__ = ["Curve", "LineStyle"]
