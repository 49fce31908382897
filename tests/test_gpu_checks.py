"""benchmarks/gpu.py with tiny sizes on the CPU: each check works, and one that fails is reported."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"
EXPECTED = {
    "card": ("measured", "precisions"),
    "agreement": ("passed", "photo, fp32: largest deviation"),
    "little_memory": ("passed", "going on with smaller pieces"),
    "speed": ("passed", "photo-drcr, 24 x 30, plain"),
    "speed_large": ("left out", "larger image"),
    "training": ("measured", "0 workers"),
    "queue": ("passed", "running, queued"),
    "clicks": ("passed", "first click until the cube is a layer", "cancel"),
}
"""Of each section: the verdict, and words of its report."""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return importlib.import_module("gpu")


def typed(*words: object, code: int) -> str:
    done = subprocess.run([sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.mark.usefixtures("own_folders")
@pytest.mark.parametrize("section", [pytest.param(name, marks=[pytest.mark.viewer] * (name == "clicks")) for name in EXPECTED])
def test_every_check_works(gpu: Any, section: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, which has imported what a process per check would import again."""
    monkeypatch.setattr(sys, "stdout", answers := StringIO())
    importlib.import_module("gpu_checks").main(json.dumps({"device": "cpu", "quick": True}), section)
    began, *findings, ended = map(json.loads, answers.getvalue().splitlines())
    assert (began, ended) == ({"began": section}, {"ended": section, "error": ""})
    outcome = gpu.Outcome(findings)
    report = gpu.write_report({section: outcome}, "python benchmarks/gpu.py")
    verdict, *measured = EXPECTED[section]
    assert outcome.verdict == verdict
    assert all(words in report for words in measured)


def test_every_section_is_checked(gpu: Any) -> None:
    assert list(EXPECTED) == list(gpu.SECTIONS)


def test_one_command_writes_the_report(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "SECTIONS", {name: gpu.SECTIONS[name] for name in ("card", "speed_large")})
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--quick", "--device", "cpu", "--output", str(tmp_path / "report.md")])
    assert gpu.main() == 0
    assert "nothing failed" in capsys.readouterr().out
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in report.splitlines() if line.startswith("| ")]
    verdicts = {title.removeprefix("| "): verdict for title, verdict, *rest in rows if len(rest) == 1}
    assert {title: verdicts[title] for title, _ in gpu.SECTIONS.values()} == {
        "The card": "measured",
        "Speed at 12 megapixels": "left out",
    }


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
