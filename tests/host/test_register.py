"""Our methods in solo-learn's own table, and a graph in a script of main's own shape."""

from __future__ import annotations

import hashlib
import json
import pickle
import runpy
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch.utils.data import Dataset, default_collate
from torchvision.datasets import CIFAR10, CIFAR100, ImageFolder

import pal_plugin
from pal_plugin.data import load_dataset
from pal_plugin.data.cifar10 import read_binary
from pal_plugin.data.cifar100 import read_python
from pal_plugin.data.manifest import Manifest
from pal_plugin.errors import ManifestError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.host import host_info, parse_cfg
from pal_plugin.host.register import GraphPairLoader, NeighbourViews, _check_graph, _manifest
from pal_plugin.host.solo import SOLO_METHODS
from pal_plugin.methods import find_method

SCRIPT = Path(__file__).with_name("mains_script.py")
NEIGHBOUR = [(i + 4) % 16 for i in range(16)]


def test_registering_is_idempotent() -> None:
    pal_plugin.register()
    first = dict(SOLO_METHODS)
    pal_plugin.register()
    assert dict(SOLO_METHODS) == first
    assert SOLO_METHODS["gps_byol"] is find_method("gps_byol")


def photographs(folder: Path) -> Path:
    """16 flat images in 4 classes; image i has the gray value 16·i."""
    for index in range(16):
        target = folder / f"class{index // 4}" / f"{index:02}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 16 * index, dtype=np.uint8)).save(target)
    return folder


def run(
    processes: ForkServerContext, cfg: DictConfig, folder: Path, method: str, graph: str | None
) -> list[dict[str, Any]] | str:
    """Run the script; return its batches, or the error of the plugin's that stopped it."""
    plain = OmegaConf.to_container(cfg)
    assert isinstance(plain, dict)
    off = {"prob": 0.0}
    plain |= {
        "name": "mine",
        "method": method,
        "seed": 3,
        "devices": [0],
        "backbone": {"name": "resnet18"},
        "scheduler": {"name": "warmup_cosine", "warmup_epochs": 1},
        "momentum": {"base_tau": 0.9},
        "augmentations": [
            {"crop_size": 8, "num_crops": 2, "rrc": {"enabled": False}, "color_jitter": off, "grayscale": off}
            | {"gaussian_blur": off, "solarization": off, "equalization": off, "horizontal_flip": off}
        ],
        "data": {"dataset": "custom", "train_path": str(photographs(folder / "images")), "num_workers": 0},
    }
    if graph is not None:
        plain["data"]["graph"] = graph
    out = folder / f"{method}.json"
    process = processes.Process(target=runpy.run_path, args=(str(SCRIPT), {"ARGS": {"cfg": plain, "out": str(out)}}))
    process.start()
    process.join(120)
    failed = out.with_suffix(".error")
    if failed.exists():
        return failed.read_text(encoding="utf-8")
    assert process.exitcode == 0
    content: list[dict[str, Any]] = json.loads(out.read_text())
    return content


def manifest(folder: Path) -> Manifest:
    return load_dataset("folder", "train", root=folder).manifest


MAIN = pytest.mark.skipif(host_info().kind == "release", reason="the release has no solo.data")


@MAIN
@pytest.mark.slow
def test_a_script_of_mains_own(
    make_config: Callable[..., DictConfig], processes: ForkServerContext, tmp_path: Path
) -> None:
    images = photographs(tmp_path / "images")
    SimilarityGraph.from_edges(16, range(16), NEIGHBOUR, manifest=manifest(images)).save(tmp_path / "graph")
    batches = run(processes, make_config("gps_byol"), tmp_path, "gps_byol", str(tmp_path / "graph"))
    assert isinstance(batches, list), batches
    assert len(batches) == 4  # 2 epochs of 16 images in batches of 8
    for epoch in (batches[:2], batches[2:]):
        anchors = [np.array(batch["index"])[:, 0] for batch in epoch]
        assert sorted(np.concatenate(anchors)) == list(range(16))
    for batch in batches:
        index, targets = np.array(batch["index"]), np.array(batch["targets"])
        anchors = index[:, 0]
        assert index[:, 1].tolist() == [NEIGHBOUR[anchor] for anchor in anchors]
        assert (targets == index // 4).all()
        shown = np.array(batch["means"])  # normalised gray values: equal order as the images' indices
        by_image = dict(zip(anchors.tolist(), shown[0], strict=True))
        for position, anchor in enumerate(anchors):
            if NEIGHBOUR[anchor] in by_image:
                assert shown[1][position] == pytest.approx(by_image[NEIGHBOUR[anchor]], abs=1e-5)
            assert shown[1][position] != pytest.approx(shown[0][position], abs=1e-3)


@MAIN
@pytest.mark.slow
def test_pairs_without_a_graph_are_two_views_of_one_image(
    make_config: Callable[..., DictConfig], processes: ForkServerContext, tmp_path: Path
) -> None:
    batches = run(processes, make_config("gps_byol"), tmp_path, "gps_byol", None)
    assert isinstance(batches, list), batches
    assert len(batches) == 4
    for batch in batches:
        index = np.array(batch["index"])
        assert (index[:, 0] == index[:, 1]).all()
        assert (np.array(batch["targets"]) == index // 4).all()
        assert batch["means"][0] == batch["means"][1]  # flat images look alike under any augmentation of the test's


@MAIN
@pytest.mark.slow
def test_known_relations_in_a_script_of_mains_own(
    make_config: Callable[..., DictConfig], processes: ForkServerContext, tmp_path: Path
) -> None:
    images = photographs(tmp_path / "images")
    chain = {"name": "pairs", "parameters": {}, "transitive": True}
    graph = SimilarityGraph.from_edges(16, [0, 4, 8], [4, 8, 12], manifest=manifest(images), builder=chain)
    graph.save(tmp_path / "graph")
    refusal = run(processes, make_config("pal_byol"), tmp_path, "pal_byol", None)
    assert "ConfigError: pal_byol learns from a graph of known relations, and the config names none" in refusal
    (tmp_path / "pal_byol.error").unlink()
    batches = run(processes, make_config("pal_byol"), tmp_path, "pal_byol", str(tmp_path / "graph"))
    assert isinstance(batches, list), batches
    assert len(batches) == 4  # 2 epochs of 16 images, 6 and a related pair in a batch of 8, whatever is left dropped
    for batch in batches:
        index, targets = np.array(batch["index"]), np.array(batch["targets"])
        assert (index[:, 0] == index[:, 1]).all()
        assert (targets == index // 4).all()
        pair = index[-2:, 0].tolist()
        assert len(set(pair)) == 2
        assert set(pair) <= {0, 4, 8, 12}
    for epoch in (batches[:2], batches[2:]):
        once = np.concatenate([np.array(batch["index"])[:-2, 0] for batch in epoch])
        assert len(set(once.tolist())) == 12


@MAIN
@pytest.mark.slow
def test_a_latent_in_a_script_of_mains_own(
    make_config: Callable[..., DictConfig], processes: ForkServerContext, tmp_path: Path
) -> None:
    """The views come once more, of the same images, for the posterior to see."""
    name, images = "adassl_simclr", photographs(tmp_path / "images")
    SimilarityGraph.from_edges(16, range(16), NEIGHBOUR, manifest=manifest(images)).save(tmp_path / "graph")
    cfg = make_config(name, method_kwargs={"additional_view": True}, optimizer={"lr": 0.1})
    refusal = run(processes, cfg, tmp_path, name, None)
    assert "ConfigError: adassl_simclr learns from pairs of different images, and the config names no graph" in refusal
    (tmp_path / f"{name}.error").unlink()
    batches = run(processes, cfg, tmp_path, name, str(tmp_path / "graph"))
    assert isinstance(batches, list), batches
    assert len(batches) == 4
    for batch in batches:
        index = np.array(batch["index"])
        assert index.tolist() == [[anchor, NEIGHBOUR[anchor]] * 2 for anchor in index[:, 0]]
        assert (np.array(batch["targets"]) == index // 4).all()
        assert batch["means"][:2] == batch["means"][2:]  # flat images look alike under any augmentation of the test's


@MAIN
@pytest.mark.slow
def test_what_a_script_of_mains_own_is_refused(
    make_config: Callable[..., DictConfig], processes: ForkServerContext, tmp_path: Path
) -> None:
    images = photographs(tmp_path / "images")
    graph = SimilarityGraph.from_edges(16, range(16), NEIGHBOUR, manifest=manifest(images))
    graph.save(tmp_path / "graph")
    refusal = run(processes, make_config("byol"), tmp_path, "byol", str(tmp_path / "graph"))
    assert "ConfigError: byol would take the neighbours" in refusal
    assert "Set method=gps_byol" in refusal
    other = Manifest("folder", "train", manifest(images).ids, "0" * 64)
    SimilarityGraph.from_edges(16, range(16), NEIGHBOUR, manifest=other).save(tmp_path / "other")
    refusal = run(processes, make_config("gps_byol"), tmp_path, "gps_byol", str(tmp_path / "other"))
    assert f"ManifestError: The graph in {tmp_path / 'other'} indexes folder/train" in refusal


class Numbers(Dataset[Any]):
    """16 samples whose views are their indices, as main's data sets give them."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> Any:
        return index, [torch.tensor(index), torch.tensor(index)], 0


def drawn(loader: GraphPairLoader) -> list[int]:
    return [int(neighbour) for index, _, _ in loader for neighbour in index[:, 1]]


def test_neighbours_are_drawn_alike_for_any_number_of_workers() -> None:
    nodes = np.repeat(np.arange(16), 8)
    graph = SimilarityGraph.from_edges(16, nodes, (nodes + np.tile(np.arange(1, 9), 16)) % 16)

    def loader(workers: int) -> GraphPairLoader:
        views = NeighbourViews(Numbers(), graph, seed=0)
        return GraphPairLoader(views, batch_size=8, num_workers=workers, collate_fn=default_collate)

    alone, shared = loader(0), loader(2)
    passes = [drawn(alone) for _ in range(3)]
    assert [drawn(shared) for _ in range(3)] == passes
    assert passes[0] != passes[1] != passes[2]
    again = loader(2)
    again.set_epoch(2)  # as in a script that is resumed
    assert drawn(again) == passes[2]


def test_a_resumed_script_goes_on_with_the_draws_of_its_epoch(
    make_config: Callable[..., DictConfig], tmp_path: Path
) -> None:
    """As Lightning resumes it, in a process without workers."""
    nodes = np.repeat(np.arange(16), 8)
    graph = SimilarityGraph.from_edges(16, nodes, (nodes + np.tile(np.arange(1, 9), 16)) % 16)

    class Images(Numbers):
        def __getitem__(self, index: int) -> Any:
            return index, [torch.full((3, 8, 8), index / 16)] * 2, 0

    class Seen(Callback):
        def __init__(self) -> None:
            self.neighbours: dict[int, list[int]] = {}

        def on_train_batch_start(self, trainer: Trainer, module: Any, batch: Any, batch_idx: int) -> None:
            self.neighbours.setdefault(trainer.current_epoch, []).extend(batch[0][:, 1].tolist())

    def run(epochs: int, resume: Path | None = None) -> Seen:
        seen, views = Seen(), NeighbourViews(Images(), graph, seed=0)
        off: dict[str, Any] = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
        trainer = Trainer(max_epochs=epochs, accelerator="cpu", callbacks=[seen], enable_model_summary=False, **off)
        module: Any = find_method("gps_simclr")(parse_cfg(make_config("gps_simclr")))
        loader = GraphPairLoader(views, batch_size=8, collate_fn=default_collate)
        trainer.fit(module, loader, ckpt_path=resume, weights_only=False)
        trainer.save_checkpoint(tmp_path / f"{epochs}.ckpt")
        return seen

    whole = run(3).neighbours
    run(2)
    assert run(3, tmp_path / "2.ckpt").neighbours == {2: whole[2]}


def test_mains_data_sets_are_told_by_their_manifest(tmp_path: Path) -> None:
    """Main's order of files, images and all; torchvision's classes stand for those that main derives from them."""
    images = photographs(tmp_path / "images")
    assert _manifest(ImageFolder(images)) == manifest(images)
    (images / "class0").rename(images / "class1-more")  # before class1/ for us, after class1 for torchvision
    assert _manifest(ImageFolder(images)) != manifest(images)
    flat = photographs(tmp_path / "more") / "class0"

    class Unlabelled:  # of main
        root, images = flat, ["03.png", "00.png", "01.png", "02.png"]

    assert _manifest(Unlabelled()) != manifest(flat)
    Unlabelled.images.sort()
    assert _manifest(Unlabelled()) == manifest(flat)
    assert _manifest(object()) is None


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifars_manifest_is_the_one_of_our_own_loader(name: str, tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(256, size=(20_003, 32, 32, 3), dtype=np.uint8)
    labels = np.zeros(len(data), dtype=np.uint8)
    planes = data.transpose(0, 3, 1, 2).reshape(len(data), -1)
    theirs = object.__new__(CIFAR10 if name == "cifar10" else CIFAR100)  # as if it had read its files
    theirs.data = data
    if name == "cifar10":
        files = [tmp_path / f"data_batch_{number + 1}.bin" for number in range(3)]
        for number, file in enumerate(files):
            part = slice(10_000 * number, 10_000 * (number + 1))
            np.hstack([labels[part, None], planes[part]]).tofile(file)
        images, _, ids = read_binary(tmp_path, [file.name for file in files])
    else:
        content = {b"data": planes, b"fine_labels": labels.tolist(), b"coarse_labels": labels.tolist()}
        published = pickle.dumps(content, protocol=3)
        published = published.replace(b"cnumpy._core.", b"cnumpy.core.")  # it is of NumPy 1
        (tmp_path / "train").write_bytes(published)
        (tmp_path / "meta").write_bytes(pickle.dumps({b"fine_label_names": [b"x"], b"coarse_label_names": [b"y"]}))
        ours = read_python(tmp_path, "train")
        images, ids = ours.images, ours.ids
    content = hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()
    found = _manifest(theirs)
    assert found is not None
    assert found.digest == Manifest(name, "train", ids, content).digest


def test_a_graph_that_names_no_data_set_is_counted(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images")
    graph = SimilarityGraph.from_edges(16, range(16), NEIGHBOUR)
    with pytest.warns(RuntimeWarning, match="Only the number of its nodes"):
        _check_graph(graph, ImageFolder(images), tmp_path)
    (images / "class0" / "00.png").unlink()
    with pytest.raises(ManifestError, match="16 nodes, the data set 15 images"):
        _check_graph(graph, ImageFolder(images), tmp_path)
