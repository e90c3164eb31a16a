"""Priors by their specs: a scheme, an argument, options; and functions of a user's own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from pal_plugin.data.digits import load_digits
from pal_plugin.errors import ConfigError, FeatureError
from pal_plugin.priors import Pixels, Prior, embed, make_prior
from pal_plugin.priors.base import parse_spec
from pal_plugin.registry import priors

OURS = ("lite0", "pixels", "hog", "pca", "timm", "torchvision", "open_clip", "checkpoint", "python")


@pytest.fixture(scope="module")
def digits():
    return load_digits("test")


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("lite0", ("lite0", None, {})),
        ("pca:64", ("pca", "64", {})),
        ("pixels?side=32", ("pixels", None, {"side": "32"})),
        ("timm:hf_hub:me/net", ("timm", "hf_hub:me/net", {})),
        (
            "timm:a.b?checkpoint=/x y/w=1.pth&device=cpu",
            ("timm", "a.b", {"checkpoint": "/x y/w=1.pth", "device": "cpu"}),
        ),
        ("checkpoint:/what?/last.ckpt?stem=cifar", ("checkpoint", "/what?/last.ckpt", {"stem": "cifar"})),
    ],
)
def test_specs_are_taken_apart(spec, parts):
    assert parse_spec(spec) == parts


@pytest.mark.parametrize("spec", ["pixels?side", "pixels?", "pixels?=3", "pixels?side=", "pixels?side=1&side=2"])
def test_options_without_name_or_value(spec):
    with pytest.raises(ConfigError, match="no option"):
        make_prior(spec)


class NoPrior:
    """Neither a prior nor a function."""


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("pixel", "did you mean pixels"),
        ("pixels:32", "Write pixels\\?OPTION=VALUE, with the options side"),
        ("pixels?size=32", "did you mean side"),
        ("hog?side=3", "Write hog"),
        ("lite0?precison=float32", "did you mean precision"),
        ("lite0:cpu", "Write lite0\\?OPTION"),
        ("timm", "Write timm:MODEL"),
        ("pca", "Write pca:DIMENSIONS"),
        ("pca:many", "'many'"),
        ("pca:0", "at least 1"),
        ("pca:64?side=65", "at most 64"),
        ("pca:49?side=4", "at most side"),
        ("pixels?side=-3", "'-3'"),
        ("test-no-prior", "lacks name, key or embed"),
    ],
)
def test_wrong_specs_say_what_is_right(spec, said):
    priors.add("test-no-prior", NoPrior)
    with pytest.raises(ConfigError, match=said):
        make_prior(spec)


def test_every_scheme_is_registered():
    assert set(OURS) <= set(priors)
    assert isinstance(make_prior("pixels"), Pixels)
    assert isinstance(make_prior("hog"), Prior)


def brightness(images):
    return np.stack([image.mean((0, 1)) for image in images])


def as_tensor(images):
    return torch.nn.Parameter(torch.from_numpy(brightness(images)))


class Keyed:
    def __init__(self, key):
        self.key = key

    def __call__(self, images):
        return brightness(images).astype(np.float64)


def test_a_function_is_a_prior(digits, tmp_path):
    expected = digits.images.mean((1, 2)).astype(np.float32)
    for number, function in enumerate((brightness, as_tensor, Keyed("v1"))):
        store = embed(digits, function, out=tmp_path / str(number))
        assert store.features.dtype == np.float32
        assert np.allclose(store.features, expected)
    assert make_prior(brightness).name == f"python:{__name__}:brightness"
    assert hashlib.sha256(Path(__file__).read_bytes()).hexdigest() in make_prior(brightness).key
    assert make_prior(Keyed("v1")).key != make_prior(Keyed("v2")).key
    pixels = Pixels()
    assert make_prior(pixels) is pixels


def test_a_function_of_unknown_dependencies_is_refused(digits):
    scale = 3.0
    for function in (lambda images: brightness(images), lambda images: scale * brightness(images), Keyed(None), len):
        with pytest.raises(ConfigError, match="attribute `key`"):
            embed(digits, function)


def test_a_function_that_gives_no_numbers(digits, tmp_path):
    for wrong in (lambda images: ["a"] * len(images), lambda images: None):
        wrong.key = "v1"
        with pytest.raises(FeatureError):
            embed(digits, wrong, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


MODULE = """
def embed(images):
    return [[1.0, len(images)] for _ in images]
class Ones:
    name = key = "ones"
    def embed(self, images):
        import numpy
        return numpy.ones((len(images), 3), dtype="float32")
number = 3
"""


def test_a_module_of_the_working_directory(tmp_path, monkeypatch, digits):
    (tmp_path / "my_priors_a.py").write_text(MODULE)
    (tmp_path / "my_priors_b.py").write_text("import nothing_of_that_name")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))  # has sys.path restored afterwards
    store = embed(digits, make_prior("python:my_priors_a:embed"), out=tmp_path / "out", batch_size=360)
    assert store.features[5].tolist() == [1.0, 360.0]
    assert store.info["prior"] == "python:my_priors_a:embed"
    assert make_prior("python:my_priors_a:Ones").key == "ones"
    wrong = {
        "python:my_priors_a": "module:function",
        "python:my_priors_a:embedd": "embedd",
        "python:my_priors_a:number": "is a int",
        "python:my_priors_c:embed": "my_priors_c",
        "python:my_priors_b:embed": "nothing_of_that_name",
    }
    for spec, said in wrong.items():
        with pytest.raises(ConfigError, match=said):
            make_prior(spec)
