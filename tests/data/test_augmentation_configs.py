"""Every shipped augmentation is read, makes batches, and is distributed as solo-learn's pipeline of its settings."""

from __future__ import annotations

import dataclasses
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps
from scipy import stats
from sklearn.datasets import load_sample_images
from torchvision import transforms as T

from pal_plugin.data import FileImages, ImageDataset, Policy, apply, draw, load_digits, pair_loader
from pal_plugin.graph import SimilarityGraph
from pal_plugin.launch import compose

NAMES = sorted(
    Path(file.name).stem
    for file in resources.files("pal_plugin.conf.augmentation").iterdir()
    if file.name.endswith(".yaml")
)
PHOTOS = {"multicrop_photos", "strong_byol_photos"}
ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def policies_of(name: str, *overrides: str) -> list[Policy]:
    cfg = compose("simclr", ["profile=paper", f"augmentation={name}", *overrides])
    return [Policy.from_config(policy) for policy in cfg.augmentations]


def test_there_is_one_for_every_purpose() -> None:
    assert {"flip_only", "strong_simclr", "strong_byol", "strong_vicreg", "multicrop", "ressl", *PHOTOS} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_makes_batches_of_an_array_with_a_graph(name: str) -> None:
    digits = load_digits("train").subset(20, 0)
    n = np.arange(20)
    graph = SimilarityGraph.from_edges(20, n, (n + 1) % 20, manifest=digits.manifest)
    small = [] if "multicrop" not in name else ["small_crop_size=4"]
    policies = policies_of(name, "data.crop_size=8", *small)
    loader = pair_loader(digits, policies, batch_size=20, seed=0, graph=graph, pair_batch=True)
    index, views, _ = next(iter(loader))
    assert index.shape[1] == len(views) == (8 if "multicrop" in name else 2)
    assert [view.shape[2] for view in views] == [8] * 2 + [4] * (len(views) - 2)
    assert all(view.isfinite().all() for view in views)


@pytest.mark.parametrize("name", sorted(PHOTOS))
def test_makes_batches_of_photos(name: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path, photo in zip(paths, load_sample_images().images, strict=True):
        Image.fromarray(photo).save(path)
    photos = ImageDataset("photos", "train", FileImages(paths), np.full(2, -1), ("0", "1"), (), (0.5,) * 3, (0.25,) * 3)
    views = next(iter(pair_loader(photos, policies_of(name, "data.crop_size=224"), batch_size=2, seed=0)))[1]
    assert [view.shape[2] for view in views] == [224] * 2 + [96] * (len(views) - 2)


def solo_learns(policy: Policy) -> Any:
    """Its pipeline: torchvision's transforms with their own random numbers."""
    jitter, size = policy.color_jitter, policy.crop_size
    bicubic = T.InterpolationMode.BICUBIC
    scale = (policy.rrc.crop_min_scale, policy.rrc.crop_max_scale)
    strengths = (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    sigma = np.random.default_rng(0)
    return T.Compose(
        [
            T.RandomResizedCrop(size, scale, interpolation=bicubic) if policy.rrc.enabled else T.Resize(size, bicubic),
            T.RandomApply([T.ColorJitter(*strengths)], jitter.prob),
            T.RandomGrayscale(policy.grayscale.prob),
            T.RandomApply(
                [lambda image: image.filter(ImageFilter.GaussianBlur(sigma.uniform(0.1, 2.0)))],
                policy.gaussian_blur.prob,
            ),
            T.RandomApply([ImageOps.solarize], policy.solarization.prob),
            T.RandomApply([ImageOps.equalize], policy.equalization.prob),
            T.RandomHorizontalFlip(policy.horizontal_flip.prob),
            T.ToTensor(),
        ]
    )


def statistics(x: torch.Tensor) -> dict[str, np.ndarray]:
    """One number an image and aspect, each moved by another operation."""
    gray = x.mean(1)
    across, down = gray.diff(dim=2), gray.diff(dim=1)
    chroma = x.amax(1) - x.amin(1)
    left, right = gray.chunk(2, dim=2)
    numbers = {
        "brightness": gray.mean((1, 2)),
        "contrast": gray.std((1, 2)),
        "chroma": chroma.mean((1, 2)),
        "red minus blue": (x[:, 0] - x[:, 2]).mean((1, 2)),
        "sharpness": (across.abs().mean((1, 2)) + down.abs().mean((1, 2))) / (gray.std((1, 2)) + 1e-3),
        "left minus right": left.mean((1, 2)) - right.mean((1, 2)),
        "brightest": gray.amax((1, 2)),
    }
    return {name: values.numpy() for name, values in numbers.items()}


@pytest.mark.parametrize("name", NAMES)
def test_is_distributed_as_solo_learns_pipeline(name: str) -> None:
    """Two-sample Kolmogorov-Smirnov tests: 1000 views by each policy of one lopsided, colourful image."""
    count = 1000
    photo = Image.fromarray(load_sample_images().images[1]).crop((0, 0, 420, 420)).resize((48, 48))
    image = np.asarray(photo)
    torch.manual_seed(0)
    small = [] if "multicrop" not in name else ["small_crop_size=18"]
    for view, policy in enumerate(policies_of(name, "data.crop_size=32", *small)):
        draws = draw(policy, 0, 0, np.arange(count), view)
        ours = apply([image] * count, draws, policy, ZERO, ONE)
        pipeline = solo_learns(policy)
        theirs = torch.stack([pipeline(photo) for _ in range(count)])
        for aspect, expected in statistics(theirs).items():
            # Ours is not rounded to 8 bits: without the steps, images that are equal would count as different.
            found = statistics((ours * 255).round() / 255)[aspect]
            assert stats.ks_2samp(expected.round(2), found.round(2), method="asymp").pvalue > 1e-3, (view, aspect)


def test_the_draws_of_vicregs_policy() -> None:
    """As GPS-SSL's code sets VICReg up on CIFAR-10: crops of .2 to 1, jitter .4/.4/.2/.1, gray .2, solarise .1."""
    (policy,) = policies_of("strong_vicreg")
    assert (policy.crop_size, policy.num_crops) == (32, 2)
    count = 24_000
    first, second = (draw(policy, 0, 0, np.arange(count), view) for view in (0, 1))
    for draws in (first, second):
        chances = {"jitter": 0.8, "gray": 0.2, "blur": 0.0, "solarize": 0.1, "equalize": 0.0, "flip": 0.5}
        for name, chance in chances.items():
            happened = getattr(draws, name).sum()
            assert stats.binomtest(int(happened), count, chance).pvalue > 1e-3, name
        ranges = [(draws.crop_area[:, 0], 0.2, 1.0), *zip(draws.factors.T, *BOUNDS, strict=True)]
        for values, low, high in ranges:
            assert stats.kstest(values, "uniform", args=(low, high - low)).pvalue > 1e-3
    for field in dataclasses.fields(first):
        left, right = (getattr(draws, field.name).reshape(count, -1)[:, 0].astype(float) for draws in (first, second))
        if left.std() > 0:
            assert abs(np.corrcoef(left, right)[0, 1]) < 0.03, f"{field.name} of the views is drawn independently"


BOUNDS = ((0.6, 0.6, 0.8, -0.1), (1.4, 1.4, 1.2, 0.1))
