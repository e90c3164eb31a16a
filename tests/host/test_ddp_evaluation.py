"""What is said of validation images, by one process and by two real ones: that of all images at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from omegaconf import DictConfig, OmegaConf

from pal_plugin.data import eval_loader, load_digits
from pal_plugin.evaluation import knn_accuracy
from pal_plugin.host import parse_cfg
from pal_plugin.host.base import probe_statistics
from pal_plugin.methods import find_method

SCRIPT = Path(__file__).with_name("evaluation_process.py")


def by_one_process(module, images):
    """Statistics of the probe, and of the teacher's where there is one, of all images at once."""
    x, y = next(iter(eval_loader(images, len(images))))
    module.eval()
    with torch.no_grad():
        logits = {"val": module.classifier(module.backbone(x))}
        if hasattr(module, "momentum_classifier"):
            logits["momentum_val"] = module.momentum_classifier(module.momentum_backbone(x))
        said = {name: probe_statistics(own, y) for name, own in logits.items()}
    return {f"{name}_{key}": float(value) for name, values in said.items() for key, value in values.items()}


def test_images_without_labels_do_not_count(make_config: Callable[..., DictConfig]) -> None:
    """Nor are batches with few labels worth as much as full ones."""
    module = find_method("byol")(parse_cfg(make_config("byol")))
    images = load_digits("test").take(np.arange(41), "part")
    images.labels[:19] = -1
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    (said,) = Trainer(accelerator="cpu", devices=1, **quiet).validate(module, eval_loader(images, 8), verbose=False)
    assert said == pytest.approx(by_one_process(module, images), rel=1e-5)


@pytest.mark.slow
def test_a_run_says_of_its_validation_images_what_its_network_does(
    run_ranks: Callable[..., list[int | None]], tmp_path: Path
) -> None:
    """41 images, which neither two ranks nor batches of 8 share evenly: each rank looks at all of them."""
    heads = ["method_kwargs.proj_hidden_dim=16", "method_kwargs.proj_output_dim=8"]
    size = ["data.subset=64", "optimizer.batch_size=8", "max_epochs=1", "validation.subset=41"]
    knn = ["knn_eval.enabled=true", "knn_eval.k=3"]
    overrides = ["profile=debug", "devices=2", "strategy=ddp", "accelerator=cpu", *size, *heads, *knn]
    out = tmp_path / "rank"
    assert run_ranks(SCRIPT, {"overrides": overrides, "out": str(out)}) == [0, 0]
    ranks = [torch.load(tmp_path / f"rank.{rank}", weights_only=True) for rank in (0, 1)]
    said = [{name: value for name, value in rank["metrics"].items() if name.startswith("val_")} for rank in ranks]
    assert said[0] == said[1]

    saved = torch.load(tmp_path / "rank.run.0" / "model.ckpt", weights_only=True)
    module = find_method("simclr")(parse_cfg(OmegaConf.create(saved["config"])))
    module.load_state_dict(saved["state_dict"])
    alone = by_one_process(module, load_digits("test").subset(41, saved["config"]["data"]["subset_seed"]))
    assert said[0] == pytest.approx(alone | knn_of_ranks(ranks), rel=1e-5, abs=1e-4)


def knn_of_ranks(ranks):
    """The mean of what each rank's own training features say of all validation features."""
    scores = []
    for rank in ranks:
        (train_x, train_y), (test_x, test_y) = (
            (torch.cat(part).numpy() for part in zip(*rank[name], strict=True)) for name in ("train", "test")
        )
        assert train_x.shape[0] == 64  # two views of half of the epoch
        assert test_x.shape[0] == 41
        scores.append(knn_accuracy(train_x, train_y, test_x, test_y, k=3, metric="euclidean"))
    assert scores[0] != scores[1], "a rank's score is not the mean of both"
    return {f"val_knn_acc{n}": np.mean([score[f"top{n}"] for score in scores]) for n in (1, 5)}


@pytest.mark.slow
@pytest.mark.parametrize(("method", "unlabelled"), [("simclr", 0), ("byol", 19)])
def test_uneven_parts_count_by_their_images(
    method: str,
    unlabelled: int,
    make_config: Callable[..., DictConfig],
    run_ranks: Callable[..., list[int | None]],
    tmp_path: Path,
) -> None:
    """Not by ranks or batches, and each image once: 13 and 28 of 41, of some of which no label is known."""
    cfg = OmegaConf.to_container(make_config(method, devices=2))
    images = load_digits("test").take(np.arange(41), "part")
    images.labels[:unlabelled] = -1
    parts = [list(range(13)), list(range(13, 41))]
    arguments = {"cfg": cfg, "parts": parts, "labels": images.labels.tolist(), "out": str(tmp_path / "rank")}
    assert run_ranks(SCRIPT, arguments) == [0, 0]
    first, second = (torch.load(tmp_path / f"rank.{rank}", weights_only=True)["metrics"] for rank in (0, 1))
    torch.manual_seed(0)
    alone = by_one_process(find_method(method)(parse_cfg(OmegaConf.create(cfg))), images)
    assert first == second == pytest.approx(alone, rel=1e-5)
