"""The compiled augmentation against the operations on tensors, in any thread and process, and without a cache."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from pal_plugin.data import Draws, ImageDataset, Policy, apply, draw, pair_loader
from pal_plugin.data.fused import augment
from pal_plugin.errors import ConfigError, DataError

JITTER = {"prob": 0.8, "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2}
STRONG = {
    "rrc": {"enabled": True},
    "color_jitter": JITTER,
    "grayscale": {"prob": 0.2},
    "gaussian_blur": {"prob": 0.5},
    "solarization": {"prob": 0.2},
    "horizontal_flip": {"prob": 0.5},
}
EACH: dict[str, dict[str, Any]] = {
    "nothing": {},
    "rrc": {"rrc": {"enabled": True}},
    **{name: {"color_jitter": {"prob": 1.0, name: JITTER[name]}} for name in JITTER if name != "prob"},
    "jitter": {"color_jitter": {**JITTER, "prob": 1.0}},
    **{
        name: {name: {"prob": 1.0}}
        for name in ("grayscale", "gaussian_blur", "solarization", "equalization", "horizontal_flip")
    },
    "strong": STRONG,
}
MEAN, STD = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)


def patches(height: int, width: int, count: int = 60) -> np.ndarray:
    """Cut-outs of two photographs, every other pixel of them."""
    rng = np.random.default_rng(0)
    out = []
    for number in range(count):
        photo = load_sample_images().images[number % 2][::2, ::2]
        top, left = (
            rng.integers(0, limit - side + 1) for limit, side in zip(photo.shape, (height, width), strict=False)
        )
        out.append(photo[top : top + height, left : left + width])
    return np.stack(out)


@pytest.fixture(scope="module")
def pool() -> np.ndarray:
    return patches(32, 32, 200)


def levels(ours: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Return the differences in 8-bit levels."""
    return (ours - reference).abs() * torch.tensor(STD)[:, None, None] * 255


def assert_as_on_tensors(images: np.ndarray, policy: Policy) -> None:
    """Equal up to float32's rounding, but for images with a resized pixel half-way between two levels.

    There the two may round differently, and by blur or contrast all pixels of the image feel that.
    """
    draws = draw(policy, 0, 0, np.arange(len(images)), 0)
    ours = apply(images, draws, policy, MEAN, STD)
    apart = levels(ours, apply(torch.from_numpy(images), draws, policy, MEAN, STD))
    assert ours.is_contiguous()
    assert apart.mean() < 1e-3
    assert (apart.amax((1, 2, 3)) < 2.5e-3).float().mean() > 0.9


@pytest.mark.parametrize("name", EACH)
def test_is_what_the_tensor_operations_are(pool: np.ndarray, name: str) -> None:
    assert_as_on_tensors(pool, Policy.from_config({"crop_size": 32, **EACH[name]}))


@pytest.mark.parametrize(("height", "width"), [(96, 96), (40, 70), (70, 8), (3, 5), (1, 1), (200, 200)])
@pytest.mark.parametrize("size", [32, 17, 1])
@pytest.mark.parametrize("name", ["nothing", "strong"])
def test_any_size_in_memory_and_of_the_output(height: int, width: int, size: int, name: str) -> None:
    assert_as_on_tensors(patches(height, width), Policy.from_config({"crop_size": size, **EACH[name]}))


def test_where_only_pixels_move_no_bit_differs(pool: np.ndarray) -> None:
    policy = Policy.from_config({"crop_size": 32, "horizontal_flip": {"prob": 0.5}, "equalization": {"prob": 0.5}})
    draws = draw(policy, 0, 0, np.arange(len(pool)), 0)
    ours, reference = (apply(kind, draws, policy, MEAN, STD) for kind in (pool, torch.from_numpy(pool)))
    assert torch.equal(ours, reference)


def test_takes_rows_of_the_pool_in_any_memory(pool: np.ndarray, tmp_path: Path) -> None:
    policy = Policy.from_config({"crop_size": 32, **STRONG})
    rows = np.array([5, 199, 5, 0])
    draws = draw(policy, 1, 0, rows, 0)
    expected = apply(pool[rows], draws, policy, MEAN, STD)
    np.save(tmp_path / "pool.npy", pool)
    mapped = np.load(tmp_path / "pool.npy", mmap_mode="r")
    strided = np.repeat(pool, 2, axis=0)[::2]
    for kind in (pool, mapped, strided, torch.from_numpy(pool)):
        shown = apply(kind, draws, policy, MEAN, STD, rows)
        assert levels(shown, expected).mean() < 1e-3
        assert isinstance(kind, torch.Tensor) or torch.equal(shown, expected)


def test_refuses_rows_that_are_not_there(pool: np.ndarray) -> None:
    """Compiled code would read whatever is in memory there."""
    policy = Policy.from_config({"crop_size": 32})
    draws = draw(policy, 0, 0, np.arange(3), 0)
    for wrong in (200, -1):
        with pytest.raises(DataError, match=f"{wrong}.*there are 200 images"):
            apply(pool, draws, policy, MEAN, STD, np.array([0, 1, wrong]))
    with pytest.raises(DataError, match="There are 4 images, 3 boxes and 3 draws"):
        apply(pool, draws, policy, MEAN, STD, np.arange(4))
    boxes = np.tile([0, 0, 32, 33], (3, 1))
    with pytest.raises(DataError, match="a box"):
        augment(pool, np.arange(3), boxes, draws, 32, MEAN, STD)
    wide = dataclasses.replace(draws, blur=np.ones(3, bool), sigma=np.full(3, 2.5))
    with pytest.raises(DataError, match=r"2\.5 pixels"):
        apply(pool, wide, policy, MEAN, STD, np.arange(3))
    assert apply(pool, draw(policy, 0, 0, np.arange(0), 0), policy, MEAN, STD, np.arange(0)).shape == (0, 3, 32, 32)


def _made(pool: np.ndarray, draws: Draws, policy: Policy) -> torch.Tensor:
    return apply(pool, draws, policy, MEAN, STD)


def test_threads_and_forked_processes_change_no_bit(pool: np.ndarray) -> None:
    policy = Policy.from_config({"crop_size": 32, **STRONG})
    draws = [draw(policy, 0, epoch, np.arange(len(pool)), 0) for epoch in range(8)]
    alone = [_made(pool, some, policy) for some in draws]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda some: _made(pool, some, policy), draws))
        # forked while the threads are there, as data workers may be
        with multiprocessing.get_context("fork").Pool(2) as processes:
            forked = processes.starmap(_made, [(pool, some, policy) for some in draws[:2]])
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(alone, forked, strict=False))


def test_a_loader_with_two_threads_gives_what_one_with_one_gives(
    pool: np.ndarray, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: torch.set_num_threads(1))
    dataset = dataset_of(pool)
    policy = Policy.from_config({"crop_size": 32, "num_crops": 2, **STRONG})
    epochs = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        epochs.append(list(pair_loader(dataset, [policy], batch_size=16, seed=0)))
    for one, two in zip(*epochs, strict=True):
        assert torch.equal(one[0], two[0])
        assert all(torch.equal(a, b) for a, b in zip(one[1], two[1], strict=True))


def dataset_of(images: np.ndarray) -> ImageDataset:
    n = len(images)
    return ImageDataset(
        "patches", "train", images, np.arange(n) % 3, tuple(map(str, range(n))), ("a", "b", "c"), MEAN, STD
    )


def test_images_kept_on_a_device_are_augmented_there_by_the_same_draws(pool: np.ndarray) -> None:
    check_on(torch.device("cpu"), pool)
    settings: dict[str, Any] = {"batch_size": 16, "seed": 0, "device": torch.device("cpu")}
    with pytest.raises(ConfigError, match="2 data workers have no access"):
        pair_loader(dataset_of(pool), [Policy.from_config({"crop_size": 32})], num_workers=2, **settings)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_images_kept_on_a_gpu_are_augmented_there_by_the_same_draws(pool: np.ndarray) -> None:
    check_on(torch.device("cuda"), pool)


def check_on(device: torch.device, pool: np.ndarray) -> None:
    """Compare whole epochs with those of the compiled code."""
    policy = Policy.from_config({"crop_size": 32, "num_crops": 2, **STRONG, "equalization": {"prob": 0.2}})
    settings: dict[str, Any] = {"batch_size": 16, "seed": 0, "pair_batch": True}
    here, there = (pair_loader(dataset_of(pool), [policy], device=place, **settings) for place in (None, device))
    apart = []
    for ours, theirs in zip(here, there, strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[2], theirs[2])
        assert all(view.device.type == device.type for view in theirs[1])
        apart.append(levels(torch.cat(ours[1]), torch.cat(theirs[1]).cpu()))
    assert torch.cat(apart).mean() < 0.02
    assert (torch.cat(apart).amax((1, 2, 3)) < 1e-2).float().mean() > 0.6


@pytest.mark.slow
def test_a_cache_folder_that_cannot_be_written_to_is_said_and_does_no_harm(pool: np.ndarray, tmp_path: Path) -> None:
    script = """
import sys
import numpy as np, torch
from pal_plugin.data import Policy, apply, draw
policy = Policy.from_config({"crop_size": 32, "rrc": {"enabled": True}, "horizontal_flip": {"prob": 0.5}})
pool = np.load(sys.argv[1])
draws = draw(policy, 0, 0, np.arange(len(pool)), 0)
torch.save(apply(pool, draws, policy, (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)), sys.argv[2])
"""
    np.save(tmp_path / "pool.npy", pool)
    (tmp_path / "file").touch()
    place = {"NUMBA_CACHE_DIR": str(tmp_path / "file" / "x"), "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    ran = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "pool.npy", tmp_path / "out.pt"],
        env=os.environ | place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("cannot be kept") == 1
    assert "NUMBA_CACHE_DIR" in ran.stderr
    policy = Policy.from_config({"crop_size": 32, "rrc": {"enabled": True}, "horizontal_flip": {"prob": 0.5}})
    expected = apply(pool, draw(policy, 0, 0, np.arange(len(pool)), 0), policy, MEAN, STD)
    assert torch.equal(torch.load(tmp_path / "out.pt", weights_only=True), expected)


def test_images_are_float32_whatever_the_default_is(pool: np.ndarray) -> None:
    policy = Policy(crop_size=8)
    rows, boxes, draws = np.arange(4), np.tile([0, 0, 8, 8], (4, 1)), draw(policy, 0, 0, np.arange(4), 0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        images = augment(pool, rows, boxes, draws, size=8, mean=MEAN, std=STD)
    finally:
        torch.set_default_dtype(torch.float32)
    assert images.dtype == torch.float32
