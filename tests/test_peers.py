"""benchmarks/peers.py, as typed."""

from __future__ import annotations

import importlib
import runpy
from pathlib import Path

import pytest
import typer

import napari_drcr as nd
from typed import run_main

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "peers.py"


def typed(*words: object, code: int = 0) -> tuple[str, str]:
    return run_main(lambda: runpy.run_path(str(SCRIPT), run_name="__main__"), *words, code=code)


def test_a_comparison_goes_on_where_it_stopped(tmp_path: Path, own_folders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    # By its name, under which the processes that it starts find it too.
    done, _ = run_main(lambda: typer.run(importlib.import_module("peers").main), "--quick", "drcr", "--out", tmp_path)
    assert done.startswith("drcr: ")
    model = nd.load_model(tmp_path / "drcr-small" / "model.safetensors")
    assert "Adam 0.001, " in model.card.recipe  # the learning rate of the network
    written = (tmp_path / "peers.csv").read_bytes()
    again, _ = typed("--quick", "drcr", "--out", tmp_path)
    assert not again.startswith("drcr: ")
    assert (tmp_path / "peers.csv").read_bytes() == written
    _, said = typed("drcr", "--folder", tmp_path / "scenes", "--out", tmp_path, code=1)
    assert "has rows of 1 seconds, not 600; name another --out" in said
    table, _ = typed("--table", "--out", tmp_path)
    head, _, row = table.splitlines()
    assert head.startswith("| network | year | parameters | GMAC | steps | MRAE@0.01 |")
    assert row.startswith(f"| DRCR Net | 2022 | {model.parameters:,} |")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["drcr"], "no data folder is given"),
        (["--quick", "nobody"], "there is no network 'nobody'"),
        (["--quick", "drcr:large"], "DRCR Net has no preset 'large'; there is published, small"),
        (["--quick", "pixel_map"], "does not learn by steps"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(words: list[str], sentence: str, tmp_path: Path) -> None:
    _, said = typed(*words, "--out", tmp_path, code=1)
    assert sentence in said
