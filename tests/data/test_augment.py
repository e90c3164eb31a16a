"""Our operations, as compiled code and on tensors, against PIL's, image by image, on the same draws."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps
from scipy import stats
from sklearn.datasets import load_sample_images
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from pal_plugin.data import Draws, Policy, apply, augment, draw
from pal_plugin.data.augment import crop_boxes
from pal_plugin.errors import ConfigError

OFF = {
    "crop_size": 32,
    "num_crops": 2,
    "rrc": {"enabled": False, "crop_min_scale": 0.08, "crop_max_scale": 1.0},
    "color_jitter": {"prob": 0.0, "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2},
    **{
        name: {"prob": 0.0}
        for name in ("grayscale", "gaussian_blur", "solarization", "equalization", "horizontal_flip")
    },
}
SINGLE = {
    "nothing": {},
    "rrc": {"rrc": {"enabled": True, "crop_min_scale": 0.08, "crop_max_scale": 1.0}},
    "enlarge": {"crop_size": 40},
    "shrink": {"crop_size": 20},
    "grayscale": {"grayscale": {"prob": 0.5}},
    "gaussian_blur": {"gaussian_blur": {"prob": 1.0}},
    "solarization": {"solarization": {"prob": 0.5}},
    "equalization": {"equalization": {"prob": 1.0}},
    "horizontal_flip": {"horizontal_flip": {"prob": 0.5}},
}
WITHOUT_JITTER = {
    "rrc": {"enabled": True},
    "grayscale": {"prob": 0.2},
    "gaussian_blur": {"prob": 0.5},
    "solarization": {"prob": 0.2},
    "horizontal_flip": {"prob": 0.5},
}
JITTERS = {
    "brightness": {"brightness": 0.8},
    "contrast": {"contrast": 0.8},
    "saturation": {"saturation": 0.8},
    "hue": {"hue": 0.2},
    "all": {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2},
}
STRONG = {**WITHOUT_JITTER, "color_jitter": {"prob": 0.8, **JITTERS["all"]}}
Distance: TypeAlias = Callable[..., np.ndarray]
ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def policy_of(**changes) -> Policy:
    return Policy.from_config({**OFF, **changes})


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """400 patches of two photographs, shrunk to 32 × 32."""
    rng = np.random.default_rng(0)
    patches = []
    for photo in load_sample_images().images:
        for _ in range(200):
            side = rng.integers(64, 256)
            top, left = (rng.integers(0, limit - side) for limit in photo.shape[:2])
            patch = Image.fromarray(photo[top : top + side, left : left + side])
            patches.append(np.asarray(patch.resize((32, 32), Image.Resampling.BICUBIC)))
    return np.stack(patches)


@pytest.fixture(scope="module")
def ragged() -> list[np.ndarray]:
    """300 patches of the photographs, upright and oblong, of 20 to 420 pixels a side, and two enlarged ones."""
    rng = np.random.default_rng(1)
    patches = []
    for photo in load_sample_images().images:
        for _ in range(150):
            height, width = rng.integers(20, 421, 2)
            top, left = rng.integers(0, photo.shape[0] - height + 1), rng.integers(0, photo.shape[1] - width + 1)
            patches.append(photo[top : top + height, left : left + width])
        patches.append(np.asarray(Image.fromarray(photo).resize((2400, 1600), Image.Resampling.BICUBIC)))
    return patches


def cropped_by_pil(image: Image.Image, box: np.ndarray, policy: Policy, whole: bool) -> Image.Image:
    size = [policy.crop_size] * 2
    if policy.rrc.enabled:
        return F.resized_crop(image, *box.tolist(), size, InterpolationMode.BICUBIC)
    if whole:
        return F.resize(image, size, InterpolationMode.BICUBIC)
    return F.center_crop(F.resize(image, policy.crop_size, InterpolationMode.BICUBIC), size)


def by_pil(images: np.ndarray | Sequence[np.ndarray], draws: Draws, policy: Policy) -> np.ndarray:
    """What solo-learn's pipeline makes of these draws: torchvision on PIL images, in its order."""
    jitters: list[Callable] = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]
    out = []
    for row, pixels in enumerate(images):
        box = crop_boxes(draws, *pixels.shape[:2])[row]
        image = cropped_by_pil(Image.fromarray(pixels), box, policy, whole=isinstance(images, np.ndarray))
        if draws.jitter[row]:
            for number in draws.order[row]:
                image = jitters[number](image, float(draws.factors[row, number]))
        if draws.gray[row]:
            image = F.rgb_to_grayscale(image, num_output_channels=3)
        if draws.blur[row]:
            image = image.filter(ImageFilter.GaussianBlur(float(draws.sigma[row])))
        if draws.solarize[row]:
            image = ImageOps.solarize(image)
        if draws.equalize[row]:
            image = ImageOps.equalize(image)
        if draws.flip[row]:
            image = F.hflip(image)
        out.append(np.asarray(image))
    return np.stack(out)


@pytest.fixture(params=["compiled", "tensors"])
def distance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Distance:
    """Absolute difference between ours, either way, and PIL's, in 8-bit levels."""
    if request.param == "tensors":
        monkeypatch.setattr(augment, "_fused", lambda: None)
    return _distance


def _distance(images: np.ndarray | Sequence[np.ndarray], policy: Policy, seed: int = 0) -> np.ndarray:
    draws = draw(policy, seed, 0, np.arange(len(images)), 0)
    ours = apply(images, draws, policy, ZERO, ONE)
    assert ours.dtype == torch.float32
    assert ours.shape == (len(images), 3, policy.crop_size, policy.crop_size)
    return np.abs(ours.permute(0, 2, 3, 1).numpy() * 255 - by_pil(images, draws, policy))


@pytest.mark.parametrize("name", SINGLE)
def test_operation_is_that_of_pil(photos, name, distance):
    apart = distance(photos, policy_of(**SINGLE[name]))
    assert apart.mean() <= (0.45 if name == "gaussian_blur" else 0.35)  # PIL rounds six times in a blur
    exact = {"nothing", "horizontal_flip", "solarization", "equalization"}
    assert apart.max() <= (1e-4 if name in exact else 8)
    assert apart.mean((1, 2, 3)).max() <= 0.9


@pytest.mark.parametrize("name", JITTERS)
def test_jitter_is_that_of_pil(photos, name, distance):
    apart = distance(photos, policy_of(color_jitter={"prob": 1.0, **JITTERS[name]}))
    assert apart.mean() <= (1.3 if name == "all" else 0.7)  # PIL cuts fractions off


@pytest.mark.parametrize(("changes", "limit"), [(WITHOUT_JITTER, 0.35), (STRONG, 1.3)])
def test_policy_is_that_of_pil(photos, changes, limit, distance):
    for seed in range(3):
        assert distance(photos, policy_of(**changes), seed).mean() <= limit


@pytest.mark.parametrize("name", SINGLE)
def test_operation_on_images_of_different_sizes_is_that_of_pil(ragged, name):
    apart = _distance(ragged, policy_of(**SINGLE[name]))
    assert apart.mean() <= {"gaussian_blur": 0.45, "grayscale": 0.35}.get(name, 1e-5)
    assert apart.max() <= {"gaussian_blur": 8, "grayscale": 1}.get(name, 1e-4)  # PIL itself crops and resizes


@pytest.mark.parametrize("name", JITTERS)
def test_jitter_of_images_of_different_sizes_is_that_of_pil(ragged, name):
    apart = _distance(ragged, policy_of(color_jitter={"prob": 1.0, **JITTERS[name]}))
    assert apart.mean() <= (1.3 if name == "all" else 0.7)


@pytest.mark.parametrize(("changes", "limit"), [(WITHOUT_JITTER, 0.35), (STRONG, 1.3)])
@pytest.mark.parametrize("size", [32, 96])
def test_policy_on_images_of_different_sizes_is_that_of_pil(ragged, changes, limit, size, distance):
    assert distance(ragged, policy_of(**changes, crop_size=size), seed=1).mean() <= limit


def test_an_image_looks_the_same_whatever_sizes_are_beside_it(ragged):
    policy = policy_of(**STRONG)
    draws = draw(policy, 0, 0, np.arange(len(ragged)), 0)
    whole = apply(ragged, draws, policy, ZERO, ONE)
    some = np.array([301, 5, 120])
    part = apply([ragged[row] for row in some], draws.take(some), policy, ZERO, ONE)
    torch.testing.assert_close(part, whole[some], rtol=0, atol=1e-5)


def test_boxes_of_many_sizes_are_those_of_each():
    policy = policy_of(rrc={"enabled": True, "crop_min_scale": 0.5, "crop_max_scale": 1.0})
    draws = draw(policy, 0, 0, np.arange(600), 0)
    sizes = np.random.default_rng(0).integers(1, 60, (600, 2))  # often too oblong for any crop to fit
    together = crop_boxes(draws, *sizes.T)
    for row, (height, width) in enumerate(sizes):
        np.testing.assert_array_equal(together[row], crop_boxes(draws, int(height), int(width))[row])


def test_oblong_images(photos, distance):
    """Also where the fallback to the centre is certain: no crop of this aspect fits."""
    thin = np.repeat(photos[:, :, :3], 2, axis=2)
    policy = policy_of(rrc={"enabled": True, "crop_min_scale": 1.0, "crop_max_scale": 1.0})
    boxes = crop_boxes(draw(policy, 0, 0, np.arange(3), 0), 32, 6)
    assert (boxes == [12, 0, 8, 6]).all()
    assert (crop_boxes(draw(policy, 0, 0, np.arange(3), 0), 6, 32) == [0, 12, 6, 8]).all()
    assert distance(thin, policy).mean() <= 0.35
    assert distance(thin, policy_of(crop_size=16)).mean() <= 0.35


def test_equalize_of_flat_and_nearly_flat_images(distance):
    images = np.zeros((4, 32, 32, 3), np.uint8)
    images[1] = 200
    images[2, 0, 0] = 255
    images[3] = np.random.default_rng(0).integers(0, 2, (32, 32, 3)) * 255
    assert distance(images, policy_of(equalization={"prob": 1.0})).max() < 1e-4


@pytest.mark.parametrize("size", [1, 2, 8])
def test_tiny_images(size, distance):
    images = np.random.default_rng(0).integers(0, 256, (50, size, size, 3), dtype=np.uint8)
    policy = policy_of(crop_size=size, gaussian_blur={"prob": 1.0}, horizontal_flip={"prob": 0.5})
    assert distance(images, policy).mean() < 0.6
    x = apply(images, draw(policy, 0, 0, np.arange(50), 0), policy_of(crop_size=size, **STRONG), ZERO, ONE)
    assert x.isfinite().all()


def test_normalised_and_input_left_alone(photos):
    before = photos.copy()
    policy = policy_of(**STRONG)
    draws = draw(policy, 0, 0, np.arange(len(photos)), 0)
    mean, std = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)
    plain = apply(photos, draws, policy, ZERO, ONE)
    shaped = apply(photos, draws, policy, mean, std)
    expected = (plain - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(shaped, expected)
    np.testing.assert_array_equal(photos, before)


def test_crops_are_distributed_as_torchvisions():
    torch.manual_seed(0)
    n, (height, width) = 4000, (48, 32)
    blank = torch.zeros(3, height, width)
    theirs = np.array([transforms.RandomResizedCrop.get_params(blank, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(n)])
    ours = crop_boxes(draw(policy_of(rrc={"enabled": True}), 0, 0, np.arange(n), 0), height, width)
    for values in (
        lambda box: box[:, 2] * box[:, 3],
        lambda box: box[:, 3] / box[:, 2],
        lambda box: box[:, 0] / (height - box[:, 2] + 1),
        lambda box: box[:, 1] / (width - box[:, 3] + 1),
    ):
        assert stats.ks_2samp(values(theirs), values(ours)).pvalue > 1e-3
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, 0] + ours[:, 2] <= height).all()
    assert (ours[:, 1] + ours[:, 3] <= width).all()


def test_draws_have_their_probabilities_ranges_and_orders():
    n = 24_000
    policy = policy_of(
        color_jitter={"prob": 0.8, "brightness": 1.5, "contrast": 0.4, "saturation": 0.2, "hue": 0.1},
        grayscale={"prob": 0.2},
        gaussian_blur={"prob": 0.5},
        solarization={"prob": 0.1},
        equalization={"prob": 0.3},
        horizontal_flip={"prob": 0.6},
    )
    draws = draw(policy, 0, 0, np.arange(n), 1)
    for name, prob in {"jitter": 0.8, "gray": 0.2, "blur": 0.5, "solarize": 0.1, "equalize": 0.3, "flip": 0.6}.items():
        assert abs(getattr(draws, name).mean() - prob) < 0.015
    ranges = [(0.0, 2.5), (0.6, 1.4), (0.8, 1.2), (-0.1, 0.1)]
    for values, (low, high) in zip([*draws.factors.T, draws.sigma], [*ranges, (0.1, 2.0)], strict=True):
        assert stats.kstest(values, "uniform", args=(low, high - low)).pvalue > 1e-3
    _, counts = np.unique(draws.order, axis=0, return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3
    chances = np.stack([getattr(draws, f) for f in ("jitter", "gray", "blur", "solarize", "equalize", "flip")])
    assert np.abs(np.corrcoef(chances) - np.eye(6)).max() < 0.03


def test_draws_differ_within_a_batch_between_views_and_between_epochs():
    policy = policy_of(**STRONG)
    index = np.arange(100)
    first = draw(policy, 0, 0, index, 0)
    assert len(np.unique(first.sigma)) == len(np.unique(first.crop_place, axis=0)) == 100
    for other in (draw(policy, 0, 0, index, 1), draw(policy, 0, 1, index, 0), draw(policy, 1, 0, index, 0)):
        assert not np.isclose(first.sigma, other.sigma).any()


def test_draws_do_not_depend_on_the_batch_or_on_other_operations():
    whole = dataclasses.asdict(draw(policy_of(**STRONG), 4, 2, np.arange(100), 1))
    rows = np.array([70, 2, 2, 99])
    some = dataclasses.asdict(draw(policy_of(**STRONG), 4, 2, rows, 1))
    plain = draw(policy_of(horizontal_flip={"prob": 0.5}), 4, 2, rows, 1)
    for name, values in whole.items():
        np.testing.assert_array_equal(values[rows], some[name])
    np.testing.assert_array_equal(plain.flip, some["flip"])


def test_policy_reads_the_shape_of_solo_learn():
    policy = policy_of(**STRONG)
    assert policy.rrc.crop_min_scale == 0.08
    assert policy.color_jitter.hue == 0.2
    assert policy.horizontal_flip.prob == 0.5
    assert policy == Policy.from_config(dataclasses.asdict(policy))
    assert Policy.from_config({"crop_size": 8}).num_crops == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"solarisation": {"prob": 0.1}}, "did you mean solarization"),
        ({"grayscale": {"p": 0.1}}, "grayscale has no option 'p'.*prob"),
        ({"grayscale": 0.1}, "grayscale is 0.1, not a mapping"),
        ({"grayscale": {"prob": 1.1}}, "grayscale.prob is 1.1"),
        ({"rrc": {"crop_min_scale": 0.5, "crop_max_scale": 0.2}}, "rrc.crop_min_scale"),
        ({"color_jitter": {"prob": 0.5, "hue": 0.6}}, "color_jitter.hue is 0.6"),
        ({"color_jitter": {"prob": 0.5, "contrast": -1}}, "color_jitter.contrast is -1"),
        ({"crop_size": 0}, "crop_size is 0"),
        ({"num_crops": 1.5}, "num_crops is 1.5"),
        ({"grayscale": {"prob": "often"}}, "grayscale.prob is 'often'"),
    ],
)
def test_policy_refuses(changes, message):
    with pytest.raises(ConfigError, match=message):
        policy_of(**changes)


def test_policy_needs_a_size():
    with pytest.raises(ConfigError, match="no crop_size"):
        Policy.from_config({"num_crops": 2})


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.uint64])
def test_rows_may_be_integers_of_any_kind(kind):
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    policy, rows = policy_of(**STRONG), np.array([5, 0, 3])
    draws = draw(policy, 1, 0, rows, 0)
    shown = [apply(images, draws, policy, (0.5,) * 3, (0.25,) * 3, rows.astype(type)) for type in (np.int64, kind)]
    assert torch.equal(*shown)


def test_without_numba_it_is_said_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "pal_plugin.data.fused", None)
    monkeypatch.delattr("pal_plugin.data.fused", raising=False)
    augment._fused.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="numba cannot be imported.*pip install --upgrade numba") as said:
            augment.prepare()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            augment.prepare()
        assert len(said) == 1
    finally:
        augment._fused.cache_clear()
