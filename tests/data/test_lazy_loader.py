"""Images that stay on disk, of many sizes, through the loaders: folders of photos."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from pal_plugin.data import FileImages, ImageDataset, Policy, apply, draw, eval_loader, pair_loader
from pal_plugin.data.pairs import DECODED_AT_ONCE
from pal_plugin.errors import ConfigError
from pal_plugin.graph import SimilarityGraph

JITTER = {"prob": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1}
LARGE = {"rrc": {"enabled": True}, "color_jitter": JITTER, "grayscale": {"prob": 0.2}, "gaussian_blur": {"prob": 0.5}}
MULTICROP = [
    Policy.from_config({**LARGE, "crop_size": 48, "horizontal_flip": {"prob": 0.5}}),
    Policy.from_config({**LARGE, "crop_size": 48, "solarization": {"prob": 0.2}}),
    Policy.from_config({"crop_size": 20, "num_crops": 6, "rrc": {"enabled": True, "crop_max_scale": 0.5}}),
]
FLIP = Policy.from_config({"crop_size": 32, "num_crops": 2, "horizontal_flip": {"prob": 0.5}})
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Counting:
    """Lazy images in memory that keep count of what was asked for."""

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        self.images = list(images)
        self.asked: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Any) -> list[np.ndarray]:
        numbers = np.arange(len(self))[rows].tolist()
        self.asked.append(numbers)
        return [self.images[number] for number in numbers]

    def content(self) -> str:
        return "0" * 64

    def subset(self, rows: Any) -> Counting:
        return Counting(self[rows])


def dataset_of(images: Any) -> ImageDataset:
    n = len(images)
    return ImageDataset(
        "photos", "train", images, np.arange(n) % 3, tuple(map(str, range(n))), ("a", "b", "c"), MEAN, STD
    )


def ring(dataset: ImageDataset) -> SimilarityGraph:
    n = len(dataset)
    rows = np.repeat(np.arange(n), 3)
    return SimilarityGraph.from_edges(n, rows, (rows + np.tile([1, 5, 11], n)) % n, manifest=dataset.manifest)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> ImageDataset:
    """60 files of 30 to 500 pixels a side."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    sources = [Image.fromarray(photo) for photo in load_sample_images().images]
    paths = []
    for number in range(60):
        size = tuple(rng.integers(30, 500, 2).tolist())
        paths.append(folder / f"{number:02}.{'png' if number % 2 else 'jpg'}")
        sources[number % 2].rotate(int(rng.integers(0, 360))).resize(size).save(paths[-1])
    return dataset_of(FileImages(paths))


def epoch_of(loader: Any, epoch: int = 0) -> list[Any]:
    loader.batch_sampler.set_epoch(epoch)
    return list(loader)


def flat(batch: Any) -> list[torch.Tensor]:
    return [batch[0], *batch[1], batch[2]]


def assert_equal(left: Any, right: Any) -> None:
    """Batches are the same to the last bit."""
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(flat(a), flat(b), strict=True))


def test_every_view_shows_the_sample_that_the_index_names(photos: ImageDataset) -> None:
    """Against `apply` on one image at a time, with the draws of its anchor and view."""
    policies = [policy for policy in MULTICROP for _ in range(policy.num_crops)]
    loader = pair_loader(photos, MULTICROP, batch_size=20, seed=4, graph=ring(photos), pair_batch=True)
    for index, views, targets in epoch_of(loader, 2):
        assert index.shape == targets.shape == (20, 8)
        assert [view.shape[1:] for view in views] == [(3, 48, 48)] * 2 + [(3, 20, 20)] * 6
        assert (index[:, 1:] != index[:, :1]).all(), "every view but the first shows a neighbour"
        assert any(len(set(row)) > 2 for row in index[:, 2:].tolist()), "small crops draw neighbours of their own"
        for row in (0, 7, 19):
            for view in (0, 1, 3, 7):
                anchor, shown = index[row, 0].item(), index[row, view].item()
                draws = draw(policies[view], 4, 2, np.array([anchor]), view)
                expected = apply(photos.images[[shown]], draws, policies[view], MEAN, STD)[0]
                assert (views[view][row] - expected).abs().max() < 1e-4
                assert targets[row, view] == shown % 3


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_change_nothing(photos: ImageDataset, workers: int) -> None:
    settings = {"batch_size": 16, "seed": 5, "graph": ring(photos), "pair_batch": True, "draw": "weighted"}
    alone = pair_loader(photos, MULTICROP, **settings)
    many = pair_loader(photos, MULTICROP, num_workers=workers, **settings)
    for epoch in (0, 1):
        assert_equal(epoch_of(alone, epoch), epoch_of(many, epoch))


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_resume_is_the_tail_of_the_epoch(photos: ImageDataset, workers: int) -> None:
    settings = {"batch_size": 8, "seed": 5, "graph": ring(photos), "draw": "uniform"}
    whole = epoch_of(pair_loader(photos, [FLIP], **settings), 3)
    resumed = pair_loader(photos, [FLIP], num_workers=workers, **settings)
    resumed.batch_sampler.resume(3, 4)
    assert_equal(epoch_of(resumed, 3), whole[4:])
    assert_equal(epoch_of(resumed, 3), whole)


@pytest.mark.slow
def test_two_processes_share_what_one_would_see(photos: ImageDataset, tmp_path: Path) -> None:
    """Two real gloo processes: no anchor twice, and every sample's neighbours and views as in a single process."""
    settings = {"seed": 5, "graph": ring(photos), "pair_batch": True}
    (tmp_path / "loader.pkl").write_bytes(pickle.dumps((photos, MULTICROP, {**settings, "batch_size": 10})))
    script = Path(__file__).with_name("rank_process.py")
    ranks = [subprocess.Popen([sys.executable, script, str(rank), tmp_path]) for rank in (0, 1)]
    try:
        assert [process.wait(120) for process in ranks] == [0, 0]
    finally:
        for process in ranks:
            process.kill()
    for rank in (0, 1):  # either has gathered both
        epochs = torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True)
        for epoch, parts in enumerate(epochs):
            seen = [[flat(batch) for batch in batches] for batches in parts]
            assert [len(batches) for batches in seen] == [3, 3]
            alone = epoch_of(pair_loader(photos, MULTICROP, batch_size=20, **settings), epoch)
            for number, batch in enumerate(alone):
                first, second = seen[0][number], seen[1][number]
                together = [torch.cat(pair) for pair in zip(first, second, strict=True)]
                order, wanted = together[0][:, 0].argsort(), batch[0][:, 0].argsort()
                assert torch.equal(together[0][order], batch[0][wanted])
                for ours, theirs in zip(together[1:], flat(batch)[1:], strict=True):
                    torch.testing.assert_close(ours[order], theirs[wanted], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_spawned_workers_change_nothing(photos: ImageDataset) -> None:
    """As on macOS and Windows: the data set is pickled."""
    settings = {"batch_size": 30, "seed": 5, "graph": ring(photos)}
    spawned = pair_loader(photos, [FLIP], num_workers=1, **settings)
    spawned.multiprocessing_context = "spawn"
    assert_equal(epoch_of(spawned), epoch_of(pair_loader(photos, [FLIP], **settings)))


def test_an_image_is_decoded_once_a_batch_and_few_at_a_time(photos: ImageDataset) -> None:
    images = Counting(photos.images[:])
    dataset = dataset_of(images)
    for graph, most in ((None, 20), (ring(dataset), 60)):
        loader = pair_loader(dataset, MULTICROP, batch_size=20, seed=0, graph=graph, pair_batch=True)
        images.asked.clear()
        index, _, _ = next(iter(loader))
        decoded = Counter(number for rows in images.asked for number in rows)
        assert set(decoded) == set(index.flatten().tolist())
        assert set(decoded.values()) == {1}
        assert len(decoded) <= most
        assert max(map(len, images.asked)) <= DECODED_AT_ONCE
    images.asked.clear()
    list(eval_loader(dataset, 30, 32))
    assert [number for rows in images.asked for number in rows] == list(range(60))
    assert max(map(len, images.asked)) <= DECODED_AT_ONCE


def test_a_batch_of_images_that_happen_to_be_alike_is_treated_as_any_other() -> None:
    """Otherwise what an image looks like would depend on what is beside it."""
    rng = np.random.default_rng(0)
    alike = rng.integers(0, 256, (20, 40, 60, 3), dtype=np.uint8)

    class Stacking(Counting):
        def __getitem__(self, rows: Any) -> Any:
            return np.stack(super().__getitem__(rows))

    def views_of(images: Any, policies: list[Policy]) -> Any:
        return epoch_of(pair_loader(dataset_of(images), policies, batch_size=20, seed=0))

    for policies in (MULTICROP, [FLIP]):
        assert_equal(views_of(Stacking(alike), policies), views_of(Counting(alike), policies))


def test_an_array_looks_as_lazy_images_do_but_for_rounding() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 40, 60, 3), dtype=np.uint8)
    crop = [dataclasses.replace(policy, color_jitter=FLIP.color_jitter) for policy in MULTICROP]
    ((_, lazy, _),), ((_, array, _),) = (
        epoch_of(pair_loader(dataset_of(kind), crop, batch_size=20, seed=0)) for kind in (Counting(images), images)
    )
    levels = [((a - b) * torch.tensor(STD)[:, None, None] * 255).abs() for a, b in zip(lazy, array, strict=True)]
    assert max(apart.mean() for apart in levels) < 0.5


def test_evaluation_is_torchvisions_resize_and_centre_crop(photos: ImageDataset) -> None:
    expected = []
    for path in photos.images.paths:  # type: ignore[union-attr]
        image = F.resize(Image.open(path).convert("RGB"), 40, InterpolationMode.BICUBIC)
        expected.append(F.normalize(F.to_tensor(F.center_crop(image, [40, 40])), MEAN, STD))
    x = torch.cat([images for images, _ in eval_loader(photos, 7, 40)])
    torch.testing.assert_close(x, torch.stack(expected), rtol=0, atol=1e-6)
    in_workers = list(eval_loader(photos, 25, 40, num_workers=2))
    assert torch.equal(torch.cat([images for images, _ in in_workers]), x)
    assert torch.equal(torch.cat([labels for _, labels in in_workers]), torch.arange(60) % 3)


def test_evaluation_of_lazy_images_needs_a_size(photos: ImageDataset) -> None:
    with pytest.raises(ConfigError, match=r"photos/train may differ in size, and no crop_size was given"):
        eval_loader(photos, 10)


def test_no_crop_keeps_the_aspect_in_training_as_in_evaluation(photos: ImageDataset) -> None:
    plain = dataclasses.replace(FLIP, horizontal_flip=dataclasses.replace(FLIP.horizontal_flip, prob=0.0))
    ((evaluated, _),) = eval_loader(photos, 60, 32)
    ((index, views, _),) = epoch_of(pair_loader(photos, [plain], batch_size=60, seed=0))
    assert torch.equal(views[0], evaluated[index])
    assert torch.equal(views[1], evaluated[index])
