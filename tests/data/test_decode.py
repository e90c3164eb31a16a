"""Image files of every kind that a folder of photos holds, written by Pillow and read back."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pal_plugin.data.decode import decode_image
from pal_plugin.errors import ImageError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF", "WEBP"])
def test_lossless_formats_give_the_pixels(kind):
    content = encoded(Image.fromarray(COLOUR), kind, **({"lossless": True} if kind == "WEBP" else {}))
    np.testing.assert_array_equal(decode_image(content, "x"), COLOUR)


def test_the_result_can_be_written_to():
    decode_image(encoded(Image.fromarray(COLOUR), "PNG"), "x")[0, 0, 0] = 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_other_modes_are_what_pillow_converts_them_to(mode):
    image = Image.fromarray(COLOUR).convert(mode)
    content = encoded(image, {"CMYK": "TIFF", "YCbCr": "TIFF"}.get(mode, "PNG"))
    try:
        Image.open(io.BytesIO(content)).load()
    except OSError as error:
        pytest.skip(f"Pillow {Image.__version__} does not read what it wrote: {error}")
    decoded = decode_image(content, "x")
    assert decoded.shape == (6, 9, 3)
    np.testing.assert_array_equal(decoded, np.asarray(image.convert("RGB")))


def test_alpha_is_dropped_as_torchvision_does():
    pixels = np.concatenate([COLOUR, np.zeros((6, 9, 1), np.uint8)], axis=2)
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(pixels), "PNG"), "x"), COLOUR)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_scaled_not_clipped(kind):
    gray = np.array([[0, 128, 257, 40000, 65535]], np.uint16)
    by_hand = b"P5 5 1 65535\n" + gray.astype(">u2").tobytes()  # older Pillows read it and do not write it
    decoded = decode_image(by_hand if kind == "PPM" else encoded(Image.fromarray(gray), kind), "x")
    expected = np.rint(gray / 257).astype(np.uint8)
    np.testing.assert_array_equal(decoded, np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_32_bits_have_no_white(kind):
    content = encoded(Image.fromarray(np.full((2, 2), 0.5).astype(kind)), "TIFF")
    with pytest.raises(ImageError, match=r"photo.tif cannot be decoded: pixels of mode .* 8 or 16"):
        decode_image(content, "photo.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(orientation):
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # PIL.Image.Transpose
    stored = Image.fromarray(COLOUR)
    if undo is not None:
        stored = stored.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode_image(encoded(stored, "PNG", exif=exif), "x"), COLOUR)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_data_costs_no_more_than_the_orientation():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    exif.get_ifd(0x8769)[0x829A] = 0.5
    plain, rng = Image.fromarray(COLOUR), np.random.default_rng(1)
    possible = {decode_image(encoded(plain, "JPEG", exif=exif if turned else b""), "x").tobytes() for turned in (0, 1)}
    for _ in range(2000):
        damaged = np.frombuffer(exif.tobytes(), np.uint8).copy()
        damaged[rng.integers(6, len(damaged), 3)] = rng.integers(0, 256, 3)
        pixels = decode_image(encoded(plain, "JPEG", exif=damaged[: rng.integers(8, 2 * len(damaged))].tobytes()), "x")
        possible.add(pixels.tobytes())
    assert len(possible) <= 8


def test_one_pixel_and_the_first_frame():
    assert decode_image(encoded(Image.new("L", (1, 1), 7), "PNG"), "x").tolist() == [[[7, 7, 7]]]
    frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode_image(content, "x"), np.asarray(frames[0]))


JPEG = encoded(Image.fromarray(np.repeat(RNG.integers(0, 256, (64, 64, 1), dtype=np.uint8), 3, 2)), "JPEG")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"Dear diary, ", "not an image of a format that Pillow knows"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (JPEG[:10], "."),
        (encoded(Image.fromarray(COLOUR), "PNG")[:60], "."),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "."),
        (
            b"Pf\n1 1\n-1.0\n" + bytes(4),
            "mode F|not an image",
        ),  # of floats, in the family that holds 16-bit gray; known from 10.3
        (b"P6 100000 100000 255\n", "pixels"),  # a "bomb": 30 GB out of 21 bytes
    ],
)
def test_what_is_no_image_is_named_with_the_reason(content, why):
    with pytest.raises(ImageError, match=rf"The image holiday/1\.jpg cannot be decoded: .*({why}).*undecodable=skip"):
        decode_image(content, "holiday/1.jpg")
