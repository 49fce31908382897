"""RGB images as cameras and other programs write them."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from napari_drcr.errors import InputError, Notice
from napari_drcr.io import read_rgb
from napari_drcr.io.rgb import _open_with_pillow

CASES = Path(__file__).parent / "cases"
GRAY = "this image is grayscale"


def picture(dtype: str = "uint8", channels: int = 3) -> np.ndarray:
    """Every value different, 5 rows of 8."""
    rng = np.random.default_rng(0)
    if dtype.startswith("float"):
        return rng.random((5, 8, channels)).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, (5, 8, channels), endpoint=True).astype(dtype)


def encode_png(pixels: np.ndarray, *chunks: tuple[bytes, bytes], rows: int = 5, colours: int | None = None) -> bytes:
    """A PNG of this many of its rows as its specification has it, made without any of the libraries that read it."""
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[2]] if colours is None else colours
    data = b"".join(b"\0" + row.astype(pixels.dtype.newbyteorder(">")).tobytes() for row in pixels[:rows])
    return pack_png(pixels.shape[:2], (pixels.itemsize * 8, colour_type, 0, 0, 0), data, *chunks)


def pack_png(shape: tuple[int, ...], kind: tuple[int, ...], data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", shape[1], shape[0], *kind)
    further = b"".join(chunk(*each) for each in chunks)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + further + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "wrong"])
def test_eight_bits_from_pillow(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(picture()).save(path, "png" if suffix == "wrong" else None)
    image = read_rgb(str(path))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, picture())


def test_jpeg(tmp_path: Path) -> None:
    Image.new("RGB", (8, 5), (200, 100, 50)).save(tmp_path / "image.jpg", quality=95)
    np.testing.assert_allclose(read_rgb(tmp_path / "image.jpg"), np.full((5, 8, 3), (200, 100, 50)), atol=2)


def test_the_first_picture_of_a_phones_jpeg_is_taken(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 5), (200, 100, 50)), Image.new("RGB", (4, 3))
    first.save(tmp_path / "image.jpg", "MPO", save_all=True, append_images=[second], quality=95)
    np.testing.assert_allclose(read_rgb(tmp_path / "image.jpg"), np.full((5, 8, 3), (200, 100, 50)), atol=2)


def test_sixteen_bits_of_a_png_are_kept(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(encode_png(picture("uint16")))
    image = read_rgb(tmp_path / "image.png")
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, picture("uint16"))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_alpha_of_a_png_is_dropped_with_a_notice(tmp_path: Path, dtype: str) -> None:
    (tmp_path / "image.png").write_bytes(encode_png(picture(dtype, 4)))
    with pytest.warns(Notice, match=r"^image.png: its alpha channel is dropped.$"):
        image = read_rgb(tmp_path / "image.png")
    np.testing.assert_array_equal(image, picture(dtype, 4)[:, :, :3])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"compression": "lzw"}, {"planarconfig": "separate"}, {"tile": (16, 16)}]
)
def test_tiff(tmp_path: Path, dtype: str, options: dict[str, Any]) -> None:
    pixels = picture(dtype)
    stored = np.moveaxis(pixels, -1, 0) if "planarconfig" in options else pixels
    tifffile.imwrite(tmp_path / "image.tif", stored, photometric="rgb", **options)
    image = read_rgb(tmp_path / "image.tif")
    assert image.dtype == dtype
    np.testing.assert_array_equal(image, pixels)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_floating_tiff_becomes_float32(tmp_path: Path, dtype: str) -> None:
    tifffile.imwrite(tmp_path / "image.tif", picture(dtype), photometric="rgb")
    image = read_rgb(tmp_path / "image.tif")
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, picture(dtype), rtol=1e-6)


def test_alpha_of_a_tiff_is_dropped_with_a_notice(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "image.tif", picture("uint16", 4), photometric="rgb", extrasamples=["unassalpha"])
    with pytest.warns(Notice, match="alpha"):
        image = read_rgb(tmp_path / "image.tif")
    np.testing.assert_array_equal(image, picture("uint16", 4)[:, :, :3])


def test_a_reduced_page_beside_the_image_is_left_out(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "image.tif") as file:
        file.write(picture(), photometric="rgb", metadata=None)
        file.write(picture()[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
    np.testing.assert_array_equal(read_rgb(tmp_path / "image.tif"), picture())


def test_jpeg_in_a_tiff(tmp_path: Path) -> None:
    Image.new("RGB", (16, 8), (200, 100, 50)).save(tmp_path / "image.tif", compression="jpeg", quality=95)
    np.testing.assert_allclose(read_rgb(tmp_path / "image.tif"), np.full((8, 16, 3), (200, 100, 50)), atol=2)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_a_palette_is_looked_up(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(picture()).quantize(16)
    image.save(tmp_path / f"image.{suffix}")
    np.testing.assert_array_equal(read_rgb(tmp_path / f"image.{suffix}"), np.asarray(image.convert("RGB")))


def test_a_transparent_palette_colour_is_dropped_with_a_notice(tmp_path: Path) -> None:
    Image.fromarray(picture()).quantize(16).save(tmp_path / "image.png", transparency=3)
    with pytest.warns(Notice, match="alpha"):
        assert read_rgb(tmp_path / "image.png").shape == (5, 8, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "deep.png", "tif"])
def test_images_are_turned_upright(tmp_path: Path, orientation: int, kind: str) -> None:
    path = tmp_path / f"image.{kind}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind == "deep.png":
        path.write_bytes(encode_png(picture("uint16"), (b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))))
    elif kind == "tif":
        tifffile.imwrite(path, picture(), photometric="rgb", extratags=[(0x0112, "H", 1, orientation, True)])
    else:
        Image.fromarray(picture()).save(path, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    found = read_rgb(path)
    np.testing.assert_array_equal(found // 256 if found.dtype == np.uint16 else found, expected)
    assert found.shape == ((5, 8, 3) if orientation < 5 else (8, 5, 3))


@pytest.mark.parametrize("kind", ["jpg", "deep.png", "tif"])
def test_the_colour_profile_is_found(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"image.{kind}"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    if kind == "deep.png":
        path.write_bytes(encode_png(picture("uint16"), (b"iCCP", b"x\0\0" + zlib.compress(profile))))
    else:
        Image.fromarray(picture()).save(path, icc_profile=profile)
    with pytest.warns(
        Notice, match=r"its colour profile \(Lab .*\) is damaged or not one for RGB; the values are taken as sRGB"
    ):
        read_rgb(path)


def test_an_srgb_profile_is_not_worth_a_word(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(picture()).save(tmp_path / "image.png", icc_profile=profile)
    np.testing.assert_array_equal(read_rgb(tmp_path / "image.png"), picture())


@pytest.mark.parametrize("mode", ["L", "1", "LA", "I;16"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grayscale_is_refused(tmp_path: Path, mode: str, suffix: str) -> None:
    Image.new(mode, (8, 5)).save(tmp_path / f"image.{suffix}")
    with pytest.raises(InputError, match=f"^image.{suffix}: {GRAY}"):
        read_rgb(tmp_path / f"image.{suffix}")


def test_deep_grayscale_with_alpha_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(encode_png(picture("uint16", 2)))
    with pytest.raises(InputError, match=GRAY):
        read_rgb(tmp_path / "image.png")


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_print_colours_are_refused(tmp_path: Path, suffix: str) -> None:
    Image.new("CMYK", (8, 5)).save(tmp_path / f"image.{suffix}")
    with pytest.raises(InputError, match=r"CMYK|SEPARATED.*convert it to sRGB first"):
        read_rgb(tmp_path / f"image.{suffix}")


def test_uncompressed_video_colours_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "image.tif", picture(), photometric="ycbcr")
    with pytest.raises(InputError, match="this TIFF is of the kind YCBCR, NONE, not RGB"):
        read_rgb(tmp_path / "image.tif")


@pytest.mark.parametrize("dtype", ["uint32", "int16"])
def test_other_integers_are_refused(tmp_path: Path, dtype: str) -> None:
    tifffile.imwrite(tmp_path / "image.tif", picture(dtype), photometric="rgb")
    with pytest.raises(InputError, match=f"this TIFF holds {dtype} values; save it with 8 or 16 bits or as float"):
        read_rgb(tmp_path / "image.tif")


def test_an_animation_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(picture()), Image.fromarray(picture()[::-1])]
    frames[0].save(tmp_path / "image.png", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="this PNG is animated"):
        read_rgb(tmp_path / "image.png")


@pytest.mark.parametrize("options", [{}, {"imagej": True}])
def test_a_stack_of_images_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    tifffile.imwrite(tmp_path / "image.tif", np.stack([picture(), picture()]), photometric="rgb", **options)
    with pytest.raises(InputError, match=r"this TIFF holds several pages"):
        read_rgb(tmp_path / "image.tif")


def test_a_volume_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "image.tif", np.zeros((2, 16, 16, 3), np.uint8), photometric="rgb", volumetric=True, tile=(2, 16, 16)
    )
    with pytest.raises(InputError, match="this TIFF has the axes ZYXS"):
        read_rgb(tmp_path / "image.tif")


@pytest.mark.parametrize("kind", ["png", "deep.png", "jpg", "bmp", "tif"])
@pytest.mark.parametrize("kept", [0.03, 0.5, 0.9])
def test_truncated_files_are_refused_in_one_sentence(tmp_path: Path, kind: str, kept: float) -> None:
    path = tmp_path / f"image.{kind}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 48, 3)).astype(np.uint8)
    if kind == "deep.png":
        path.write_bytes(encode_png(noise.astype(np.uint16) * 257))
    else:
        Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(InputError, match=f"^image.{kind}: the file is damaged, truncated") as failure:
        read_rgb(path)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"\n<!DOCTYPE html><html>", "this is a web page under another name"),
        (b"GIF89a", "this is no image that can be read; use PNG, JPEG, TIFF or BMP"),
        (b"BM and no more", "damaged"),
        (b"II*\0", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
    ],
)
def test_files_that_are_no_images(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "image.png").write_bytes(content)
    with pytest.raises(InputError, match=f"^image.png: .*{sentence}"):
        read_rgb(tmp_path / "image.png")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^image.png: there is no such file or folder"):
        read_rgb(tmp_path / "image.png")
    with pytest.raises(InputError, match="cannot be opened"):
        read_rgb(tmp_path)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_that_claims_more_than_it_holds(
    tmp_path: Path, compression: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, picture(), photometric="rgb", compression=compression)
    with tifffile.TiffFile(path, mode="r+") as file:
        height = file.pages.first.tags["ImageLength"]
        height.overwrite(100_000_000)
    with pytest.raises(InputError, match=r"^image.tif: the file is damaged, truncated .*100000000 x 8 pixels"):
        read_rgb(path)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["ImageLength"].overwrite(2_000_000_000)
    with pytest.raises(InputError, match=r"^image.tif: the header of this image states 2000000000 x 8, more than 1000 million"):
        read_rgb(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["SYX", "palette"])
def test_tiffs_without_pixels(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "image.tif"
    if kind == "palette":
        Image.fromarray(picture()).quantize(16).save(path)
        tag, value = "ColorMap", None
    else:
        tifffile.imwrite(path, np.moveaxis(picture(), -1, 0), photometric="rgb", planarconfig="separate")
        tag, value = "ImageWidth", 0
    with tifffile.TiffFile(path) as file:
        offset = file.pages.first.tags[tag].offset
    content = bytearray(path.read_bytes())
    # Another number in place of the tag's own hides it; a width of 0 leaves no pixels.
    content[offset : offset + 2] = struct.pack("<H", 65000) if value is None else content[offset : offset + 2]
    if value is not None:
        content[offset + 8 : offset + 12] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"^image.tif: .*damaged"):
        read_rgb(path)
    assert capfd.readouterr().err == ""


def test_large_pictures_are_read_up_to_our_own_limit(tmp_path: Path) -> None:
    path = tmp_path / "image.bmp"
    header = b"BM" + struct.pack("<IHHIIiiHHIIIIII", 54, 0, 0, 54, 40, 20_000, 10_000, 1, 24, 0, 0, 0, 0, 0, 0)
    path.write_bytes(header)
    before = Image.MAX_IMAGE_PIXELS
    with _open_with_pillow(path) as image:
        assert image.size == (20_000, 10_000)
    path.write_bytes(header.replace(struct.pack("<i", 20_000), struct.pack("<i", 200_000)))
    with pytest.raises(InputError, match=r"^image.bmp: the header of this image states 10000 x 200000, more than 1000 million"):
        read_rgb(path)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("case", ["tif_strip0_None.tif", "tif_strip0_deflate.tif"])
def test_strips_of_no_bytes_are_not_read_as_black(case: str) -> None:
    with pytest.raises(InputError, match=rf"^{case}: 2 of the 8 strips or tiles of page 1 of this TIFF are missing"):
        read_rgb(CASES / case)


def test_a_png_takes_no_more_memory_than_its_rows(tmp_path: Path) -> None:
    whole = encode_png(picture(), rows=2)
    (tmp_path / "image.png").write_bytes(whole[:33] + b"\x7f\xff\xff\xff" + whole[37:])
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="damaged, truncated"):
            read_rgb(tmp_path / "image.png")
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_missing_rows_are_not_read_as_black() -> None:
    with pytest.raises(
        InputError, match=r"^png_rows_missing.png: the file is damaged, .*rows take 12352 bytes, 1930 are there"
    ):
        read_rgb(CASES / "png_rows_missing.png")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [3, 4])
def test_each_row_of_a_png_must_be_there(tmp_path: Path, dtype: str, channels: int) -> None:
    path = tmp_path / "image.png"
    for rows in range(5):
        path.write_bytes(encode_png(picture(dtype, channels), rows=rows))
        with pytest.raises(InputError, match=r"damaged, truncated"):
            read_rgb(path)


def test_what_lies_behind_a_png_stream_is_no_row(tmp_path: Path) -> None:
    path, packed = tmp_path / "image.png", zlib.compress(b"\0" + bytes(24))
    path.write_bytes(pack_png((5, 8), (8, 2, 0, 0, 0), b"", (b"IDAT", packed + bytes(1000))))
    with pytest.raises(InputError, match=r"rows take 125 bytes, 25 are there"):
        read_rgb(path)


def test_each_row_of_a_palette_must_be_there(tmp_path: Path) -> None:
    path, palette = tmp_path / "image.png", (b"PLTE", bytes(range(256)) * 3)
    path.write_bytes(encode_png(picture(channels=1), palette, colours=3))
    assert read_rgb(path).shape == (5, 8, 3)
    path.write_bytes(encode_png(picture(channels=1), palette, colours=3, rows=4))
    with pytest.raises(InputError, match=r"rows take 45 bytes, 36 are there"):
        read_rgb(path)


@pytest.mark.parametrize("rows", range(1, 9))
def test_each_pass_of_an_interlaced_png_must_be_there(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "image.png"
    starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    for columns in range(1, 9):
        pixels = np.random.default_rng(0).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
        passes = [pixels[y::down, x::right] for y, x, down, right in starts]
        data = b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part)
        path.write_bytes(pack_png(pixels.shape, (8, 2, 0, 0, 1), data))
        np.testing.assert_array_equal(read_rgb(path), pixels)
        path.write_bytes(pack_png(pixels.shape, (8, 2, 0, 0, 1), data[:-1]))
        with pytest.raises(InputError, match=rf"rows take {len(data)} bytes, {len(data) - 1} are there"):
            read_rgb(path)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}])
def test_each_row_of_a_jpeg_must_be_there(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "image.jpg"
    pixels = np.kron(np.random.default_rng(0).integers(0, 256, (8, 8, 3)), np.ones((9, 9, 1))).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=90, **options)
    whole = path.read_bytes()
    assert read_rgb(path).shape == (72, 72, 3)
    for kept in (0.7, 0.8, 0.95):
        path.write_bytes(whole[: int(kept * len(whole))] + b"\xff\xd9")
        with pytest.raises(InputError, match="damaged, truncated"):
            read_rgb(path)
    taller = whole.index(b"\xff\xc2" if "progressive" in options else b"\xff\xc0") + 5
    path.write_bytes(whole[:taller] + struct.pack(">H", 144) + whole[taller + 2 :])
    with pytest.raises(InputError, match="ends before its last row"):
        read_rgb(path)


def test_a_jpeg_with_something_behind_its_end_is_read(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "image.jpg")
    expected = read_rgb(tmp_path / "image.jpg")
    with (tmp_path / "image.jpg").open("ab") as file:
        file.write(b"as some telephones do\xff\xd9")
    np.testing.assert_array_equal(read_rgb(tmp_path / "image.jpg"), expected)


def test_each_row_of_a_bmp_must_be_there(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "image.bmp")
    whole = (tmp_path / "image.bmp").read_bytes()
    (tmp_path / "image.bmp").write_bytes(whole[:-24])
    with pytest.raises(InputError, match="damaged, truncated"):
        read_rgb(tmp_path / "image.bmp")
