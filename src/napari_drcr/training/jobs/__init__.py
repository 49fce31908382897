"""Runs in the background: their folders, records and processes. Never imports torch."""

from __future__ import annotations

from napari_drcr.training.jobs.jobs import RunState, delete, list_runs, prepare, read_run, start, stop

__all__ = ["RunState", "delete", "list_runs", "prepare", "read_run", "start", "stop"]
