"""benchmarks/gpu.py, as typed, with tiny sizes on the CPU: each check works, and one that fails is told."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("gpu", SCRIPT)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu", module)
    spec.loader.exec_module(module)
    return module


def typed(*words: object, code: int) -> str:
    done = subprocess.run([sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.mark.viewer
def test_every_check_works_in_one_command(gpu: Any, tmp_path: Path) -> None:
    said = typed("--quick", "--device", "cpu", "--output", tmp_path / "report.md", code=0)
    assert "nothing failed" in said
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in report.splitlines() if line.startswith("| ")]
    verdicts = {title.removeprefix("| "): verdict for title, verdict, *rest in rows if len(rest) == 1}
    assert {title: verdicts[title] for title, _ in gpu.SECTIONS.values()} == {
        "The card": "measured",
        "fp32, bf16, fp16 against the CPU": "passed",
        "Little memory": "passed",
        "Speed at 482 x 512": "passed",
        "Speed at 12 megapixels": "left out",
        "Training": "measured",
        "Two runs on one card": "passed",
        "In napari": "passed",
    }
    for measured in ("photo, fp32: largest deviation", "going on with smaller pieces", "photo, 24 x 30, plain", "0 workers",
                     "running, queued", "first click until the cube is a layer", "cancel"):  # fmt: skip
        assert measured in report


def test_ten_minutes_suffice(gpu: Any) -> None:
    assert sum(seconds for _, seconds in gpu.SECTIONS.values()) <= 600


def test_a_check_that_fails_or_hangs_leaves_the_others_alone(gpu: Any, tmp_path: Path) -> None:
    plan = {"device": "cpu", "quick": True}
    found = gpu.carry_out({"nothing": 60, "training": 0.01, "card": 60}, plan, tmp_path)
    assert found["nothing"].error == "KeyError: 'nothing'"
    assert found["training"].error == "it did not end in time"
    assert not found["card"].error
    assert [found[name].verdict for name in found] == ["**failed**", "**failed**", "measured"]
    report = gpu.write_report({name: found[name] for name in ("training", "card")}, "python benchmarks/gpu.py")
    assert "**Failed:** it did not end in time" in report
    assert "| Training | **failed** |" in report


def test_a_limit_that_is_missed_fails_its_section(gpu: Any) -> None:
    findings = [{"what": "a", "measured": "1", "limit": "at most 2", "passed": True}]
    assert gpu.Outcome(findings).verdict == "passed"
    assert gpu.Outcome([*findings, {**findings[0], "passed": False}]).verdict == "**failed**"
    assert gpu.Outcome([{"what": "left out", "measured": "no screen", "limit": "", "passed": None}]).verdict == "left out"


def test_a_device_that_is_not_here_is_said_in_a_sentence(tmp_path: Path) -> None:
    said = typed("--quick", "--device", "cuda:9", "--output", tmp_path / "report.md", code=2)
    assert said.startswith("there is no device 'cuda:9' here")
    assert not (tmp_path / "report.md").exists()
