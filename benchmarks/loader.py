"""The graph-aware loader against solo-learn's own, with its own transforms on PIL images, on two cores.

`strong_no_blur` and `strong_blur_solarize`: two views, 32 × 32, of CIFAR-10 in batches of 256; ours shows neighbours in
a 4-NN graph of 64 principal components. `folder_224`: two views, 224 × 224, of JPEG files of 500 × 375 pixels, which
are patches of two real photographs, enlarged; ours without a graph, so that either loader decodes the same files, and
along one, where neighbours are decoded as well.

Solo-learn gets two workers; ours gets two threads for images in memory, and two workers for files. Contestants take
turns; a turn is a pass through images enough, and its first batches, which wait for workers to start, are not timed.
Beside images a second there are images a second of CPU time, of all processes. Kornia (the group `bench`) augments
whole batches in this process; where it is not installed the figures say so.

Only a quiet machine's ratios mean much, although turns are interleaved. On two cores that ten processes wanted,
solo-learn was at a third of its speed on a quiet machine, by CPU time too, and ours lost less; presumably because its
kernel needs little more than the first-level cache. The load is warned of, and noted.
"""

from __future__ import annotations

import importlib
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

import pal_plugin.host.solo  # noqa: F401  imports solo-learn with the stand-ins that it needs
from pal_plugin.data import ImageDataset, Policy, load_dataset, pair_loader
from pal_plugin.graph import SimilarityGraph, knn_graph
from pal_plugin.host.detect import host_info
from pal_plugin.priors.pca import PCA

Passes: TypeAlias = Callable[[], Iterable[Any]]
"""What makes a pass through the images: batches whose last item, the labels, has a row for each image."""
Turn: TypeAlias = tuple[float, float]
"""Images a second, and images a second of CPU time."""

CORES = 2
ROUNDS = 5
UNTIMED = 2  # batches
BATCH, FOLDER_BATCH = 256, 16
PEERS_IMAGES = 3072  # of CIFAR-10 for the peers' passes; ours is through all
FILES, HEIGHT, WIDTH = 256, 375, 500
JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1}
COMMON = {
    "num_crops": 2,
    "rrc": {"enabled": True, "crop_min_scale": 0.08, "crop_max_scale": 1.0},
    "color_jitter": {"prob": 0.8, **JITTER},
    "grayscale": {"prob": 0.2},
    "horizontal_flip": {"prob": 0.5},
}
CHANCES = {"strong_no_blur": (0.0, 0.0), "strong_blur_solarize": (0.5, 0.2)}
"""Of blur and of solarisation, on both views."""


def run() -> dict[str, Any]:
    """Return `{"strong_no_blur": {"ratio_vs_solo_learn", "images_per_s", …}, …, "folder_224", "peers", "load_before"}`.

    Images are counted once, though two views are made of each. A figure is the median over the rounds, and beside it,
    as `…_range`, stand the least and the most; a ratio is that of one round's two turns.
    """
    if host_info().kind != "release":
        raise SystemExit("The peer is the release's loader: run this without solo-learn's main on PYTHONPATH")
    load = round(os.getloadavg()[0], 1)
    if load > 0.5:
        warnings.warn(f"The load is {load}: a busy machine flatters our ratios", RuntimeWarning, stacklevel=2)
    threads = torch.get_num_threads()
    torch.set_num_threads(CORES)
    try:
        return _cifar() | {"folder_224": _folder(), "load_before": load}
    finally:
        torch.set_num_threads(threads)


def _cifar() -> dict[str, Any]:
    dataset = load_dataset("cifar10", split="train")
    images = dataset.images
    assert isinstance(images, np.ndarray)
    graph = knn_graph(PCA("64").fitted(dataset).embed(images), 4, manifest=dataset.manifest)
    found: dict[str, Any] = {}
    kornia = _kornia()
    for name, (blur, solarize) in CHANCES.items():
        contestants: dict[str, Passes] = {
            "pal": _ours(dataset, 32, blur, solarize, batch=BATCH, graph=graph),
            "solo_learn": _solo("cifar10", Pictures(images[:PEERS_IMAGES], dataset.labels), blur, solarize, BATCH),
        }
        if kornia is not None:
            contestants["kornia"] = lambda b=blur, s=solarize: _by_kornia(kornia, images[:PEERS_IMAGES], b, s)  # type: ignore[misc]
        found[name] = _figures(_turns(contestants), name)
    found["peers"] = {"kornia": "left out, not installed" if kornia is None else kornia.__name__}
    return found


def _folder() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_photos(folder)
        dataset = load_dataset("folder", split="train", root=folder)
        nodes = np.repeat(np.arange(FILES), 4)
        others = (nodes + np.tile([1, 7, 50, 100], FILES)) % FILES
        graph = SimilarityGraph.from_edges(FILES, nodes, others, manifest=dataset.manifest)
        settings: dict[str, Any] = {"batch": FOLDER_BATCH, "num_workers": CORES}
        pictures = importlib.import_module("torchvision.datasets").ImageFolder(folder)
        contestants = {
            "pal": _ours(dataset, 224, *CHANCES["strong_blur_solarize"], **settings, graph=None),
            "pal_with_graph": _ours(dataset, 224, *CHANCES["strong_blur_solarize"], **settings, graph=graph),
            "solo_learn": _solo("imagenet", pictures, *CHANCES["strong_blur_solarize"], FOLDER_BATCH),
        }
        figures = _figures(_turns(contestants), "folder_224")
    return figures | {"images": f"patches of two photographs, enlarged to JPEG files of {WIDTH} × {HEIGHT} pixels"}


def _write_photos(folder: Path) -> None:
    photos = importlib.import_module("sklearn.datasets").load_sample_images().images
    rng = np.random.default_rng(0)
    for number in range(FILES):
        photo = Image.fromarray(photos[number % 2])
        width = int(rng.integers(WIDTH // 2, WIDTH))
        height = width * HEIGHT // WIDTH
        left, top = int(rng.integers(0, photo.width - width)), int(rng.integers(0, photo.height - height))
        place = folder / str(number % 2) / f"{number:04}.jpg"
        place.parent.mkdir(exist_ok=True)
        photo.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, (left, top, left + width, top + height)).save(
            place, quality=90
        )


def _ours(
    dataset: ImageDataset,
    size: int,
    blur: float,
    solarize: float,
    *,
    batch: int,
    graph: SimilarityGraph | None,
    num_workers: int = 0,
) -> Passes:
    chances = {"gaussian_blur": {"prob": blur}, "solarization": {"prob": solarize}}
    policy = Policy.from_config({**COMMON, **chances, "crop_size": size})
    settings: dict[str, Any] = {"seed": 0, "graph": graph, "num_workers": num_workers}
    return lambda: pair_loader(dataset, [policy], batch_size=batch, **settings)


class Pictures(Dataset[tuple[Any, int]]):
    """What torchvision's CIFAR10 is: a PIL image, made from an array, through a transform."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        self.images, self.labels = images, labels
        self.transform: Callable[[Any], Any] = lambda image: image

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def _solo(kind: str, pictures: Any, blur: float, solarize: float, batch: int) -> Passes:
    theirs = importlib.import_module("solo.utils.pretrain_dataloader")
    transform = theirs.prepare_transform(kind, **JITTER, gaussian_prob=blur, solarization_prob=solarize)
    pictures.transform = theirs.prepare_n_crop_transform([transform], [2])
    return lambda: theirs.prepare_dataloader(pictures, batch_size=batch, num_workers=CORES)


def _kornia() -> Any:
    try:
        return importlib.import_module("kornia.augmentation")
    except ImportError:
        return None


def _by_kornia(kornia: Any, images: NDArray[np.uint8], blur: float, solarize: float) -> Iterator[Any]:
    """Yield batches of two views: kornia's operations draw anew for every image of a batch."""
    mean, std = torch.tensor((0.49, 0.48, 0.45)), torch.tensor((0.25, 0.24, 0.26))
    pipeline = torch.nn.Sequential(
        kornia.RandomResizedCrop((32, 32), scale=(0.08, 1.0), resample="bicubic"),
        kornia.ColorJitter(*JITTER.values(), p=0.8),
        kornia.RandomGrayscale(p=0.2),
        *([kornia.RandomGaussianBlur((13, 13), (0.1, 2.0), p=blur)] if blur else []),
        *([kornia.RandomSolarize(thresholds=0.0, additions=0.0, p=solarize)] if solarize else []),
        kornia.RandomHorizontalFlip(p=0.5),
        kornia.Normalize(mean, std),
    )
    with torch.inference_mode():
        for rows in torch.randperm(len(images)).numpy().reshape(-1, BATCH):
            x = torch.from_numpy(images[rows]).permute(0, 3, 1, 2).float().div_(255)
            yield [pipeline(x), pipeline(x)], rows


def _turns(contestants: Mapping[str, Passes]) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, passes in contestants.items():
            turns[name].append(_turn(passes))
    return turns


def _turn(passes: Passes) -> Turn:
    cpu = _cpu_seconds()
    batches = iter(passes())
    untimed = sum(len(batch[-1]) for batch in islice(batches, UNTIMED))
    start = time.perf_counter()
    timed = sum(len(batch[-1]) for batch in batches)
    wall = time.perf_counter() - start
    del batches  # ends the workers, whose time counts from then on
    return timed / wall, (untimed + timed) / (_cpu_seconds() - cpu)


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _figures(turns: dict[str, list[Turn]], name: str) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for number, unit in enumerate(("", "cpu_")):
        theirs = [turn[number] for turn in turns["solo_learn"]]
        for who in turns:
            prefix = unit if who == "pal" else f"{who}_{unit}"
            rates = [turn[number] for turn in turns[who]]
            figures[f"{prefix}images_per_s"] = round(statistics.median(rates))
            figures[f"{prefix}images_per_s_range"] = [round(min(rates)), round(max(rates))]
            if who != "solo_learn":
                ratios = [rate / their for rate, their in zip(rates, theirs, strict=True)]
                figures[f"{prefix}ratio_vs_solo_learn"] = round(statistics.median(ratios), 2)
                figures[f"{prefix}ratio_vs_solo_learn_range"] = [round(min(ratios), 2), round(max(ratios), 2)]
    print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in figures.items() if "range" not in key), flush=True)
    return figures
