"""The dock widget Train: scenes, settings, runs.

`fields` and `editors` make `config_form` of what `napari_drcr.training.config` says a run is; `data_panel` shows the scenes and `launch`
starts the run, both by what stands in that form; `runs_panel` shows what became of it.
"""

from __future__ import annotations

from napari_drcr.widgets.train.dock import Train

__all__ = ["Train"]
