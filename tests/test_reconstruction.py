"""RGB to cube: what is accepted, what is refused, and what the result says about itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import napari_drcr as nd
from napari_drcr.cubes.cube import resample
from napari_drcr.models.store import Model
from napari_drcr.system.devices import choose_device, choose_precision, devices, precisions

SMALL = Path(__file__).parent / "reference" / "official_layout_small.pth"


def taking(normalisation: str) -> Model:
    linear = nd.load_model("linear")
    return replace(linear, card=linear.card.model_copy(update={"name": normalisation, "normalisation": normalisation}))


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (21, 34, 3), dtype=np.uint8)


def test_any_size_from_8_up_gives_a_cube_of_that_size() -> None:
    for shape in ((8, 8), (9, 31), (50, 17)):
        cube = nd.reconstruct(np.full((*shape, 3), 90, np.uint8), model=SMALL, encoding="linear")
        assert cube.shape == (31, *shape)
        assert cube.dtype == np.float32


def test_padding_is_reflection_and_cropped_away(rgb: np.ndarray) -> None:
    network = nd.load_model(SMALL).estimator
    padded = np.pad(rgb / np.float32(rgb.max()), ((0, 3), (0, 2), (0, 0)), mode="reflect").astype(np.float32)
    with torch.inference_mode():
        whole = network(torch.from_numpy(padded).permute(2, 0, 1)[None])[0, :, :21, :34].numpy()
    cube = nd.reconstruct(rgb, model=SMALL, encoding="linear", precision="fp32")
    np.testing.assert_allclose(cube.values, whole, atol=1e-5 * np.abs(whole).max())


def test_one_image_in_every_accepted_type_gives_one_cube(rgb: np.ndarray) -> None:
    cube = nd.reconstruct(rgb, model="polynomial")
    sixteen = rgb.astype(np.uint16) * 257
    twelve = (rgb.astype(np.float64) / 255 * 4095).round().astype(np.uint16)
    np.testing.assert_allclose(nd.reconstruct(sixteen, model="polynomial"), cube, atol=1e-6)
    np.testing.assert_allclose(nd.reconstruct(twelve, model="polynomial", white_level=4095), cube, atol=1e-3)
    np.testing.assert_allclose(nd.reconstruct(rgb / 255, model="polynomial"), cube, atol=1e-6)


@pytest.mark.parametrize(
    ("brightest", "bits", "level"), [(200, 8, 255), (1020, 10, 1023), (3900, 12, 4095), (4095, 12, 4095), (16383, 14, 16383)]
)
def test_dark_16_bit_images_ask_for_their_white_level(brightest: int, bits: int, level: int) -> None:
    image = np.full((16, 16, 3), brightest // 2, np.uint16)
    image[0, 0, 0] = brightest
    with pytest.warns(nd.Notice, match=rf"16-bit values is {brightest}, .* {bits} bits; .* give {level} as its white level"):
        nd.reconstruct(image, model="linear")
    nd.reconstruct(image, model="linear", white_level=level)


def test_16_bit_images_that_reach_further_ask_for_nothing() -> None:
    nd.reconstruct(np.full((16, 16, 3), 20000, np.uint16), model="linear")


def test_clipped_pixels_are_marked_and_mentioned(rgb: np.ndarray) -> None:
    rgb[3, 4, 1] = 255
    cube = nd.reconstruct(rgb, model="linear")
    assert np.argwhere(cube["clipped"].values).tolist() == [[3, 4]]
    assert cube["clipped"].dims == ("y", "x")
    assert cube.attrs["clipped_share"] == 1 / (21 * 34)
    assert "clipped" in resample(cube, [450, 550]).coords
    rgb[:, :3] = 255
    with pytest.warns(nd.Notice, match=r"^The image: 9\.0% of the pixels are clipped at 255"):
        nd.reconstruct(rgb, model="linear")
    with pytest.warns(nd.Notice, match=r"^The image: 9\.0% of the pixels are clipped at 4080"):
        nd.reconstruct((rgb * 16.0).clip(0, 4080).astype(np.uint16), model="linear", white_level=4080)


@pytest.mark.parametrize("suffix", ["mat", "hdr"])
def test_cubes_with_marked_pixels_can_be_written(rgb: np.ndarray, tmp_path: Path, suffix: str) -> None:
    cube = nd.reconstruct(rgb, model="linear")
    nd.write_cube(tmp_path / f"cube.{suffix}", cube)
    found = nd.read_cube(tmp_path / f"cube.{suffix}")
    np.testing.assert_array_equal(found, cube)
    assert found.attrs["input_profile"] == "sRGB (assumed)"
    assert found.attrs["clipped_share"] == cube.attrs["clipped_share"]


def test_a_photograph_for_a_checkpoint_of_linear_values_is_mentioned(rgb: np.ndarray) -> None:
    with pytest.warns(nd.Notice, match=r"official_layout_small expects linear camera values.*encoding linear"):
        cube = nd.reconstruct(rgb, model=SMALL)
    np.testing.assert_array_equal(cube, nd.reconstruct(rgb, model=SMALL, encoding="linear"))


def test_encoding_decides_whether_srgb_is_decoded(rgb: np.ndarray) -> None:
    linear = nd.reconstruct(rgb, model="linear", encoding="linear")
    assert nd.mrae(np.maximum(linear, 1e-3), nd.reconstruct(rgb, model="linear")) > 0.1


def test_published_checkpoints_divide_by_the_images_own_maximum(rgb: np.ndarray) -> None:
    half = rgb // 2
    cube = nd.reconstruct(half, model=SMALL, encoding="linear")
    assert cube.attrs["divisor"] == pytest.approx(half.max() / 255)
    assert cube.attrs["encoding"] == "as given"
    assert nd.reconstruct(half, model=SMALL, encoding="linear", divisor=1).attrs["divisor"] == 1


def test_a_model_can_take_the_range_of_each_image(rgb: np.ndarray) -> None:
    cube = nd.reconstruct(50 + rgb // 2, taking("range"), encoding="linear")
    plain = nd.reconstruct(rgb // 2, "linear", encoding="linear", divisor=127 / 255)
    np.testing.assert_allclose(cube, plain, atol=1e-5)
    assert (cube.attrs["offset"], cube.attrs["divisor"]) == pytest.approx((50 / 255, 127 / 255))


def test_a_model_can_take_bytes_and_a_divisor_keeps_its_meaning(rgb: np.ndarray) -> None:
    for divisor in (None, 0.5):
        cube = nd.reconstruct(rgb, taking("bytes"), encoding="linear", divisor=divisor)
        plain = nd.reconstruct(rgb, "linear", encoding="linear", divisor=divisor)
        np.testing.assert_allclose(cube, 255 * plain, rtol=1e-4, atol=1e-3)
        assert cube.attrs["divisor"] == plain.attrs["divisor"]


@pytest.mark.parametrize("suffix", ["mat", "hdr", "nc", "tif"])
def test_every_format_keeps_offset_and_divisor(rgb: np.ndarray, tmp_path: Path, suffix: str) -> None:
    cube = nd.reconstruct(rgb // 2 + 9, taking("range"), encoding="linear")
    nd.write_cube(tmp_path / f"cube.{suffix}", cube)
    found = nd.read_cube(tmp_path / f"cube.{suffix}")
    np.testing.assert_array_equal(found, cube)
    assert [found.attrs[name] for name in ("offset", "divisor")] == [cube.attrs[name] for name in ("offset", "divisor")]


def test_alpha_is_dropped_aloud(rgb: np.ndarray) -> None:
    with pytest.warns(nd.Notice, match="alpha"):
        cube = nd.reconstruct(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]), model="linear")
    assert cube.equals(nd.reconstruct(rgb, model="linear"))


def test_files_are_read_with_their_orientation(rgb: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(rgb).save(tmp_path / "turned.png", exif=exif)
    cube = nd.reconstruct(tmp_path / "turned.png", model="linear")
    assert cube.name == "turned"
    np.testing.assert_array_equal(cube, nd.reconstruct(np.rot90(rgb, -1), model="linear"))


def test_the_result_says_what_made_it(rgb: np.ndarray) -> None:
    cube = nd.reconstruct(rgb, model=SMALL, encoding="linear", device="cpu", precision="fp32", tile=16)
    model = nd.load_model(SMALL)
    expected = {"model": model.name, "model_sha256": model.sha256, "device": "cpu", "precision": "fp32", "tile": 16}
    assert expected.items() <= cube.attrs.items()
    assert cube.attrs["device_name"] == devices()["cpu"]
    assert "not a measurement" in cube.attrs["estimate"]
    assert "torch" in cube.attrs["versions"]
    assert cube.attrs["seconds"] > 0


def test_every_precision_on_offer_comes_close(rgb: np.ndarray) -> None:
    exact = nd.reconstruct(rgb, model=SMALL, encoding="linear", precision="fp32").values
    for precision in precisions("cpu"):
        cube = nd.reconstruct(rgb, model=SMALL, encoding="linear", device="cpu", precision=precision)
        assert cube.attrs["precision"] == precision
        difference = np.abs(cube.values - exact).mean() / np.abs(exact).mean()
        assert difference < 0.05  # random weights on random pixels; a trained model stays below 1 %


def test_progress_and_cancel_need_no_gui(rgb: np.ndarray) -> None:
    seen: list[tuple[int, int]] = []

    def stop_at_three(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 3:
            raise nd.Cancelled

    with pytest.raises(nd.Cancelled):
        nd.reconstruct(rgb, model=SMALL, encoding="linear", tile=16, progress=stop_at_three)
    assert [done for done, _ in seen if done] == [1, 2, 3]
    assert seen[-1][1] > 3


def floating(value: float) -> np.ndarray:
    image = np.full((16, 16, 3), 0.5)
    image[3, 4, 1] = value
    return image


@pytest.mark.parametrize(
    ("image", "settings", "sentence"),
    [
        (np.zeros((16, 16), np.uint8), {}, "grayscale"),
        (np.zeros((16, 16, 1), np.uint8), {}, "grayscale"),
        (np.zeros((3, 16, 16), np.uint8), {}, "move the channels to the last axis"),
        (np.zeros((16, 16, 5), np.uint8), {}, r"not \(16, 16, 5\)"),
        (np.zeros((0, 0, 3), np.uint8), {}, "0 x 0 pixels is too small"),
        (np.zeros((7, 16, 3), np.uint8), {}, "7 x 16 pixels is too small"),
        (np.zeros((16, 16, 3), np.int32), {}, "type int32"),
        (floating(np.nan), {}, "1 values that are NaN"),
        (floating(1.5), {}, r"reaches 1\.5, outside 0 to 1"),
        (floating(-0.25), {}, r"reaches -0\.25"),
        (np.full((16, 16, 3), 5000, np.uint16), {"white_level": 4095}, "reaches 5000, outside 0 to 4095"),
        (
            np.full((16, 16, 3), 9, np.uint8),
            {"white_level": -1},
            "white_level must be a positive number of ordinary size, not -1",
        ),
        (np.full((16, 16, 3), 9, np.uint8), {"divisor": 0}, "divisor must be a positive number of ordinary size, not 0"),
        (np.full((16, 16, 3), 9, np.uint8), {"divisor": 1e-300}, "not 1e-300"),
        (np.full((16, 16, 3), 9, np.uint8), {"white_level": "abc"}, "white_level must be a number, not 'abc'"),
        (np.full((16, 16, 3), 9, np.uint8), {"tile": 9.5}, r"tile must be a whole number .* not 9\.5"),
        (np.full((16, 16, 3), 9, np.uint8), {"device": "tpu"}, "no device 'tpu'"),
        (np.full((16, 16, 3), 9, np.uint8), {"precision": "bf16"}, "supports fp32 only, not 'bf16'"),
        ([[1, 2], [3]], {}, "rows differ in length"),
        (np.ma.masked_equal(np.full((16, 16, 3), 9, np.uint8), 9), {}, "masked pixels"),
        (np.full((16, 16, 3), 9, np.uint8), {"encoding": "log"}, "'log'"),
        (np.full((16, 16, 3), 9, np.uint8), {"tile": 2}, "tile must be a whole number of at least 8 pixels, not 2"),
        (np.zeros((16, 16, 3), np.uint8), {"model": SMALL, "encoding": "linear"}, "black everywhere"),
        (
            np.full((16, 16, 3), 9, np.uint8),
            {"model": taking("range")},
            "all values of the image are the same: there is no range",
        ),
        (
            floating(0.25),
            {"model": taking("range"), "divisor": 0.5},
            "range stretches each image .* so a divisor makes no sense with it",
        ),
    ],
)
def test_bad_input_is_refused_in_a_sentence(image: np.ndarray, settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(nd.InputError, match=sentence):
        nd.reconstruct(image, **({"model": "linear"} | settings))  # type: ignore[arg-type]


def test_devices_and_precisions_that_are_not_there_are_named() -> None:
    assert choose_device("auto") in devices()
    with pytest.raises(nd.InputError, match=r"no device 'cuda:7' here; there is .*cpu"):
        choose_device("cuda:7")
    assert choose_precision("auto", "cpu") == precisions("cpu")[0] in {"fp32", "bf16"}
    with pytest.raises(nd.InputError, match="'fp16' is not available on cpu"):
        choose_precision("fp16", "cpu")
