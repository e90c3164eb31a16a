"""The priors that look at pixels only: raw, gradients, principal components."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from pal_plugin.data.digits import load_digits
from pal_plugin.errors import ConfigError
from pal_plugin.priors import embed, make_prior, ready


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def digits():
    return load_digits("test")


def sizes(*shapes):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]


RAGGED = sizes((9, 9), (20, 12), (5, 40), (64, 64))


def test_images_of_different_sizes_are_resized_one_by_one():
    for spec in ("pixels?side=16", "hog"):
        prior = make_prior(spec)
        together = prior.embed(RAGGED)
        assert np.array_equal(together, np.concatenate([prior.embed(image[None]) for image in RAGGED]))
    small = np.asarray(Image.fromarray(RAGGED[1]).resize((16, 16), Image.Resampling.BICUBIC), dtype=np.float32)
    assert np.array_equal(make_prior("pixels?side=16").embed(RAGGED)[1], small.reshape(-1) / np.float32(255))


def test_pixels_as_they_are_want_one_size():
    with pytest.raises(ConfigError, match=r"pixels\?side=32"):
        make_prior("pixels").embed(RAGGED)
    alike = sizes((6, 7), (6, 7))
    assert np.array_equal(make_prior("pixels").embed(alike), make_prior("pixels").embed(np.stack(alike)))
    assert make_prior("pixels").key == "pixels, flattened, x/255"
    assert make_prior("pixels?side=6").key != make_prior("pixels").key


def flat64(images, side):
    pil = [Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC) for image in images]
    return np.stack([np.asarray(p, dtype=np.float64).reshape(-1) / 255 for p in pil])


@pytest.mark.parametrize("side", [8, 16])
def test_pca_is_the_singular_value_decomposition(digits, side):
    found = embed(digits, make_prior(f"pca:10?side={side}")).features
    x = flat64(digits.images, side)
    centred = x - x.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ axes[:10].T
    expected *= np.sign(axes[np.arange(10), np.abs(axes[:10]).argmax(1)])
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_pca_keeps_the_axes_that_it_was_fitted_to(digits):
    train = load_digits("train")
    fitted = ready(make_prior("pca:5?side=8"), train)
    x, mean = flat64(digits.images, 8), flat64(train.images, 8).mean(0)
    _, _, axes = np.linalg.svd(flat64(train.images, 8) - mean, full_matrices=False)
    expected = np.abs((x - mean) @ axes[:5].T)
    assert np.allclose(np.abs(embed(digits, fitted).features), expected, atol=1e-5)
    assert ready(fitted, digits) is fitted
    assert fitted.key != ready(make_prior("pca:5?side=8"), digits).key
    assert "pca 5, bicubic 8" in fitted.key


def test_pca_of_few_images(digits):
    with pytest.raises(ConfigError, match="below 40"):
        embed(digits.subset(40, 0), make_prior("pca:40"))
    alike = dataclasses.replace(digits, images=np.zeros_like(digits.images))
    assert not embed(alike, make_prior("pca:3")).features.any()


def test_pca_of_images_of_different_sizes():
    prior = ready(make_prior("pca:2?side=8"), load_digits("test"))
    assert np.allclose(prior.embed(RAGGED), np.concatenate([prior.embed([image]) for image in RAGGED]), atol=1e-6)
