"""What `napari-drcr benchmark` measures, with real processes on tiny images. Times are not judged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_drcr.benchmark import subject
from napari_drcr.benchmark.child import Way
from napari_drcr.benchmark.processes import Failed, Measured
from napari_drcr.benchmark.report import HEADER, Report, Row
from napari_drcr.benchmark.run import run
from napari_drcr.cli import main
from napari_drcr.errors import Cancelled, InputError
from napari_drcr.models.architecture import find_architecture
from napari_drcr.models.cost import gmac
from napari_drcr.models.drcr.architecture import DRCRSettings
from napari_drcr.system.devices import precisions
from typed import run_main


def typed(*words: object, code: int = 0) -> tuple[str, str]:
    out, err = run_main(main, "benchmark", *words, code=code)
    assert "Traceback" not in err
    return out, err


def test_multiply_adds_are_those_of_the_layers() -> None:
    drcr = find_architecture("drcr")
    assert gmac(drcr, drcr.presets["published"], 31, 256, 256) == pytest.approx(586, rel=0.02)
    # A block's six convolutions take nine maps, and its gates a few numbers more.
    three, two = (gmac(drcr, DRCRSettings(channels=16, blocks=blocks), 31, 32, 24) for blocks in (3, 2))
    assert round(1e9 * (three - two)) == 9 * 9 * 16**2 * 32 * 24 + 2 * (16 * 2 + 2 * 2 + 2 * 16)
    small = DRCRSettings(channels=8, blocks=1)
    assert gmac(drcr, small, 31, 30, 22) == gmac(drcr, small, 31, 32, 24)


def test_the_full_size_is_always_the_same_network() -> None:
    first, again = (subject.find_network("full-size").estimator for _ in range(2))
    assert sum(weight.numel() for weight in first.parameters()) == 9_478_482
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert one.equal(other)


def test_any_network_can_be_measured_untrained() -> None:
    found = subject.find_network("hscnn_r:small")
    assert (found.architecture.id, found.path) == ("hscnn_r", None)
    with pytest.raises(InputError, match="HSCNN-R has no preset 'large'; there is published, small"):
        subject.find_network("hscnn_r:large")


@pytest.mark.parametrize("size", [(8, 9), (300, 700)])
def test_the_image_is_the_sample_cut_or_continued(size: tuple[int, int]) -> None:
    image = subject.make_image(*size)
    assert image.shape == (*size, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("big", "such as 482x512, not 'big'"), ("12x-4", "not '12x-4'"), ("7x512", "at least 8 x 8 pixels, not 7 x 512")],
)
def test_a_size_that_is_none_is_said(text: str, sentence: str) -> None:
    assert subject.parse_size("482X512 ") == (482, 512)
    with pytest.raises(InputError, match=sentence):
        subject.parse_size(text)


def test_every_way_is_measured_in_one_run(tmp_path: Path) -> None:
    out, _ = typed("--size", "24x30", "--rounds", 1, "--device", "cpu", "--json", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    ways = {row["way"]["title"]: row for row in found["rows"]}
    assert list(ways) == ["plain", "fair", *(f"tiles {precision}" for precision in precisions("cpu"))]
    assert all(title in out for title in HEADER)
    for row in ways.values():
        assert row["median"] > 0
        assert row["floor"] > 0
        assert row["memory"] >= 0
    assert ways["plain"]["deviation"] is None
    assert 0 < ways["tiles fp32"]["deviation"]["largest"] < 1e-4
    for precision in precisions("cpu"):
        assert found["rates"][f"cpu {precision}"] > 1e6
        assert ways[f"tiles {precision}"]["deviation"]["mean"] < 0.05
    assert found["refining"]["at once"] > 0
    assert found["start_up"]["all"] > found["start_up"]["importing"] > 0
    assert found["warmed_up"]
    assert "multiply-adds" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--model", "polynomial"), "polynomial is a per-pixel map"),
        (("--model", "nothing"), "there is no model 'nothing'"),
        (("--rounds", "0"), "at least one round, not 0"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(words: tuple[str, str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        run(**{"model": "photo", words[0].removeprefix("--"): int(words[1]) if words[1].isdigit() else words[1]})  # type: ignore[arg-type]


def test_bad_input_ends_with_code_2() -> None:
    assert "a size is HEIGHTxWIDTH" in typed("--size", "huge", code=2)[1]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    np.save(tmp_path / "image.npy", np.random.default_rng(0).random((3, 10, 13), dtype=np.float32))
    return tmp_path / "image.npy"


def test_a_process_that_fails_or_is_ended_says_so(image: Path, tmp_path: Path) -> None:
    with Measured(Way("own", "cpu", "fp16", "strips fp16"), "photo", image, tmp_path / "said.txt") as process:
        with pytest.raises(Failed, match="precision 'fp16' is not available on cpu"):
            process.start()
        # As the system does where memory runs out.
        psutil.Process(process.pid).kill()
        with pytest.raises(Failed, match="killed by the system"):
            process.ask("once")


def test_stopping_ends_all_processes() -> None:
    def stop(done: int, total: int, text: str) -> None:
        if done == 0:  # All have been started, and none is ready.
            started.extend(child.pid for child in psutil.Process().children() if child.pid not in before)
            raise Cancelled

    # Helpers of multiprocessing that other tests started live on.
    before = {child.pid for child in psutil.Process().children()}
    started: list[int] = []
    with pytest.raises(Cancelled):
        run("photo", size=(8, 8), rounds=1, progress=stop)
    assert started
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in started)


@pytest.fixture
def report() -> Report:
    seconds = {("plain", "fp32"): 4.0, ("fair", "fp32"): 2.0, ("own", "fp32"): 3.0, ("own", "bf16"): 1.5}
    rows = [
        Row(Way(how, "cpu", precision, f"{how} {precision}"), (time,), 10**9, 0.5)  # type: ignore[arg-type]
        for (how, precision), time in seconds.items()
    ]
    return Report(
        model="mine",
        trained=True,
        sizes="100 channels, 10 blocks",
        size=(482, 512),
        device="cpu",
        device_name="a processor",
        processor="a processor",
        threads=4,
        date="2000-01-01",
        versions={"torch": "2"},
        rounds=3,
        warmed_up=True,
        multiply_adds=10**9,
        rates={"cpu fp32": 1e9},
        rows=tuple(rows),
        reference="plain fp32",
        tile=100,
        tiles={100: 1.0, 140: 0.8},
        thread_times={4: 1.0, 2: 0.95},
        chosen="bf16",
        refining={"at once": 0.1},
        start_up={},
    )


def test_suggestions_follow_from_the_figures(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_drcr.system.devices.precisions", lambda device: ["bf16", "fp32"])
    said = " ".join(report.findings())
    assert "auto takes bf16, which was 2.00 times as fast as fp32 here." in said
    assert "--tile 140 was 1.25 times as fast as 100" in said
    assert "OMP_NUM_THREADS" not in said
    assert "1.50 times as fast as" in said
    slow = [replace(row, seconds=(9.0,)) if row.way.precision == "bf16" else row for row in report.rows]
    other = replace(report, rows=tuple(slow), tiles={100: 1.0, 140: 0.95}, thread_times={4: 1.0, 2: 0.5})
    said = " ".join(other.findings())
    assert "fp32 was 3.00 times as fast as bf16 here: take --precision fp32." in said
    assert "140 gained no more than 10 %" in said
    assert "OMP_NUM_THREADS=2" in said


def test_a_way_that_was_left_out_says_why_in_its_row(report: Report) -> None:
    plain, *others = report.rows
    without = replace(report, rows=(replace(plain, seconds=(), left_out="left out, it needs 90 GB"), *others))
    first, second, *_ = without.table()
    assert " ".join(first[0].split()) == "plain fp32: left out, it needs 90 GB"
    assert second[1:4] == ["2", "-", "1.00"]
