"""Our methods in solo-learn's own table, and a graph in a script of main's own shape."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf
from PIL import Image

import pal_plugin
from pal_plugin.graph import SimilarityGraph
from pal_plugin.host import host_info
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
) -> list[dict[str, Any]]:
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
    assert process.exitcode == 0
    content: list[dict[str, Any]] = json.loads(out.read_text())
    return content


@pytest.mark.slow
@pytest.mark.skipif(host_info().kind == "release", reason="the release has no solo.data")
@pytest.mark.parametrize("method", ["gps_byol", "byol"])
def test_a_script_of_mains_own(
    method: str, make_config: Callable[..., DictConfig], processes: ForkServerContext, tmp_path: Path
) -> None:
    SimilarityGraph.from_edges(16, range(16), NEIGHBOUR).save(tmp_path / "graph")
    batches = run(processes, make_config(method), tmp_path, method, str(tmp_path / "graph"))
    assert len(batches) == 4  # 2 epochs of 16 images in batches of 8
    for epoch in (batches[:2], batches[2:]):
        anchors = [np.array(batch["index"]).reshape(8, -1)[:, 0] for batch in epoch]
        assert sorted(np.concatenate(anchors)) == list(range(16))
    for batch in batches:
        index, targets = np.array(batch["index"]), np.array(batch["targets"])
        anchors = index if method == "byol" else index[:, 0]
        if method == "gps_byol":
            assert index[:, 1].tolist() == [NEIGHBOUR[anchor] for anchor in anchors]
            assert (targets == index // 4).all()
        else:
            assert (targets == anchors // 4).all()
        shown = np.array(batch["means"])  # normalised gray values: equal order as the images' indices
        by_image = dict(zip(anchors.tolist(), shown[0], strict=True))
        for position, anchor in enumerate(anchors):
            if NEIGHBOUR[anchor] in by_image:
                assert shown[1][position] == pytest.approx(by_image[NEIGHBOUR[anchor]], abs=1e-5)
            assert shown[1][position] != pytest.approx(shown[0][position], abs=1e-3)
