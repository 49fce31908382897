"""A network on a device: what to do where memory runs out, and parts of a pass once more."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
import torch

from napari_drcr.errors import InputError, Notice
from napari_drcr.inference import passes
from napari_drcr.inference.passes import NetworkRunner, Pass
from napari_drcr.inference.reconstruction import reconstruct
from napari_drcr.models.drcr.tiles import Strips
from napari_drcr.models.store import Model, load_model
from napari_drcr.system.devices import precisions
from napari_drcr.system.steps import run_to_end

HALF = pytest.mark.skipif("bf16" not in precisions("cpu"), reason="this processor has no bf16")


def finish(steps: Generator[Any, None, Any]) -> tuple[Any, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []
    return run_to_end(steps, seen.append), seen


@pytest.fixture
def model() -> Model:
    return load_model("photo-drcr")


@pytest.fixture
def image() -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).random((3, 50, 61), dtype=np.float32)


def run(model: Model, image: Any, precision: str) -> tuple[Any, Pass]:
    runner = NetworkRunner(model, "cpu", precision)
    cube, _ = finish(runner.estimate(image))
    assert runner.latest is not None
    return cube, runner.latest


def scarce(monkeypatch: pytest.MonkeyPatch, enough: int) -> list[tuple[str, int]]:
    """Let memory run out for pieces larger than `enough`; returns the devices and sizes that were tried."""
    tried = []
    real = Strips.run

    def run_out(strips: Strips, rgb: Any, *, side: int, size: Any) -> Any:
        tried.append((strips.device, side))
        if side > enough:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return (yield from real(strips, rgb, side=side, size=size))

    monkeypatch.setattr(Strips, "run", run_out)
    return tried


def test_smaller_pieces_where_memory_runs_out(model: Model, image: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = run(model, image, "fp32")
    tried = scarce(monkeypatch, 64)
    runner = NetworkRunner(model, "cpu", "fp32", tile=200)
    with pytest.warns(Notice, match=r"too little memory free: going on with smaller pieces \(tile"):
        cube, _ = finish(runner.estimate(image))
    assert [side for _, side in tried] == [200, 100, 50]
    assert runner.hardware["tile"] == 50
    np.testing.assert_allclose(cube, expected, atol=1e-5 * np.abs(expected).max())


def test_the_cpu_where_a_gpu_has_no_room_at_all(model: Model, image: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = run(model, image, "fp32")
    # Meta tensors stand for those of a device that is not here.
    monkeypatch.setattr(passes, "choose_device", lambda device: device)
    monkeypatch.setattr(passes, "devices", lambda: {"meta": "Some GPU", "cpu": "Some CPU"})
    monkeypatch.setattr(passes, "choose_precision", lambda precision, device, safe: "fp32")
    real = Strips.run

    def run_out(strips: Strips, rgb: Any, **settings: Any) -> Any:
        if strips.device == "meta":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return (yield from real(strips, rgb, **settings))

    monkeypatch.setattr(Strips, "run", run_out)
    runner = NetworkRunner(model, "meta", "auto", tile=64)
    with pytest.warns(Notice, match="Some GPU has too little memory free") as told:
        cube, _ = finish(runner.estimate(image))
    assert "going on with Some CPU in fp32, which takes longer." in str(told[-1].message)
    assert runner.hardware["device"] == "cpu"
    np.testing.assert_allclose(cube, expected, atol=1e-5 * np.abs(expected).max())


def test_where_nothing_helps_it_is_said(model: Model, image: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scarce(monkeypatch, 0)
    with pytest.warns(Notice), pytest.raises(InputError, match="even for the smallest pieces; close other programs"):
        finish(NetworkRunner(model, "cpu", "fp32", tile=64).estimate(image))


def test_other_errors_are_not_taken_for_lack_of_memory(model: Model, image: Any) -> None:
    with pytest.raises(RuntimeError, match="channels"):
        finish(NetworkRunner(model, "cpu", "fp32").estimate(image[:2]))


@HALF
def test_a_window_of_a_half_precision_pass_is_refined_to_the_float32_cube(model: Model, image: Any) -> None:
    exact, _ = run(model, image, "fp32")
    rough, remembered = run(model, image, "bf16")
    assert not remembered.knows_exact_statistics
    window, steps = finish(remembered.refine((10, 20, 31, 22)))
    largest = np.abs(exact).max()
    assert np.abs(window - exact[:, 10:31, 20:22]).max() <= 1e-5 * largest < np.abs(rough - exact).max()
    assert remembered.knows_exact_statistics
    again, steps_again = finish(remembered.refine((10, 20, 31, 22)))
    np.testing.assert_array_equal(again, window)
    assert len(steps_again) == 1 < len(steps)


@HALF
def test_with_the_gates_of_the_half_precision_pass_it_is_another_answer(model: Model, image: Any) -> None:
    exact, _ = run(model, image, "fp32")
    _, remembered = run(model, image, "bf16")
    window, steps = finish(remembered.refine((0, 0, 50, 61), exact=False))
    assert len(steps) == 1
    assert not remembered.knows_exact_statistics
    assert np.abs(window - exact).max() > 1e-5 * np.abs(exact).max()


def test_a_float32_pass_needs_no_other(model: Model, image: Any) -> None:
    cube, remembered = run(model, image, "fp32")
    window, steps = finish(remembered.refine((49, 60, 50, 61)))
    assert steps == [(1, 1)]
    np.testing.assert_allclose(window[:, 0, 0], cube[:, 49, 60], atol=1e-5 * np.abs(cube).max())


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (5, 0, 4, 5), (0, 0, 51, 5), (-1, 0, 4, 5)])
def test_windows_outside_the_image_are_refused(model: Model, image: Any, box: tuple[int, int, int, int]) -> None:
    _, remembered = run(model, image, "fp32")
    with pytest.raises(InputError, match="empty or not inside the image of 50 x 61 pixels"):
        finish(remembered.refine(box))


def test_reconstruct_hands_over_what_is_to_be_remembered() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (16, 18, 3), dtype=np.uint8)
    kept: list[Pass] = []
    cube = reconstruct(rgb, precision="fp32", remember=kept.append)
    window, _ = finish(kept[0].refine((2, 3, 4, 9)))
    np.testing.assert_allclose(window, cube.values[:, 2:4, 3:9], atol=1e-5 * np.abs(cube.values).max())
    reconstruct(rgb, model="linear", remember=kept.append)
    reconstruct(rgb, ensemble=True, remember=kept.append)
    assert len(kept) == 1


@HALF
def test_refining_goes_on_with_smaller_windows_where_memory_runs_out(
    model: Model, image: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, remembered = run(model, image, "fp32")
    real, tried = Strips.window, []

    def run_out(strips: Strips, rgb: Any, gathered: Any, box: Any) -> Any:
        tried.append(box)
        if box[2] - box[0] > 20:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(strips, rgb, gathered, box)

    monkeypatch.setattr(Strips, "window", run_out)
    window, _ = finish(remembered.refine((0, 0, 50, 61)))
    assert len(tried) > 2
    np.testing.assert_allclose(window, exact, atol=1e-5 * np.abs(exact).max())


def test_refining_without_memory_goes_to_the_cpu_and_then_says_so(
    model: Model, image: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, remembered = run(model, image, "fp32")
    monkeypatch.setattr(passes, "devices", lambda: {"meta": "Some GPU", "cpu": "Some CPU"})
    real = Strips.window

    def run_out(strips: Strips, rgb: Any, gathered: Any, box: Any) -> Any:
        if strips.device == "meta":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(strips, rgb, gathered, box)

    monkeypatch.setattr(Strips, "window", run_out)
    remembered.device, remembered._execution = "meta", None
    with pytest.warns(Notice, match="Some GPU has too little memory free: going on with Some CPU"):
        window, _ = finish(remembered.refine((3, 4, 9, 8)))
    np.testing.assert_allclose(window, exact[:, 3:9, 4:8], atol=1e-5 * np.abs(exact).max())
    monkeypatch.setattr(Strips, "window", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(InputError, match="Some CPU has too little memory free to compute this window again"):
        finish(remembered.refine((3, 4, 9, 8)))
