"""The dock widget Spectrum: spectra of picked pixels and regions, beside the truth."""

from __future__ import annotations

from napari_drcr.widgets.spectrum.dock import Spectrum

__all__ = ["Spectrum"]
