"""Images become tiles of one size without a pixel lost where they are small."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pal_plugin.sheet.tiles import LARGE, SMALL, data_uri, fit, longest_side, printable, tile_side


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("longest", [1, 8, 28, 32, 33, 64, 96, 167, 168])
def test_a_small_image_is_enlarged_by_a_whole_factor(longest):
    image = noise(longest, max(1, longest // 2))
    side = tile_side(longest)
    assert side % longest == 0
    assert SMALL <= side < 2 * SMALL
    scaled = fit(image, side)
    assert scaled.shape == (side, image.shape[1] * side // longest, 3)
    for y, x in ((0, 0), (side // 2, 0), (side - 1, scaled.shape[1] - 1)):
        assert (scaled[y, x] == image[y * longest // side, x * longest // side]).all()


def test_larger_images_are_shrunk_in_proportion():
    assert tile_side(169) == tile_side(4000) == LARGE
    assert fit(noise(900, 600), 224).shape == (224, 149, 3)
    assert fit(noise(3, 5000), 224).shape == (1, 224, 3)
    flat = np.full((500, 400, 3), 77, dtype=np.uint8)
    assert (fit(flat, 224) == 77).all()


def test_an_image_smaller_than_the_tile_but_not_by_half_stays_as_it_is():
    image = noise(150, 120)
    assert (fit(image, 224) == image).all()


def test_the_longest_side():
    assert longest_side([noise(3, 9), noise(7, 2)]) == 9
    assert longest_side([]) == 1


def test_a_small_image_is_inlined_losslessly_and_a_large_one_shrunk():
    image = noise(32, 20)
    kind, _, content = data_uri(image).partition(",")
    assert kind == "data:image/png;base64"
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))) == image).all()
    kind, _, content = data_uri(noise(1000, 500)).partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (112, 224)


def test_what_cannot_be_shown_is_replaced():
    assert printable("a\nb\x00c\udcffd") == "a\ufffdb\ufffdc\ufffdd"
    assert printable("naïve 猫 ✓") == "naïve 猫 ✓"
