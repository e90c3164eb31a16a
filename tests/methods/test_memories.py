"""What a second image does to methods with queues, memories and labels: each is looked at after one real step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.nn import functional as F

from pal_plugin.data import ImageDataset, Policy, pair_loader
from pal_plugin.errors import ConfigError, DataError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.host import METHODS
from pal_plugin.host.pairs import DeepClusterPairs
from pal_plugin.methods import GraphPairs, find_method, on_pairs

Make = Callable[..., Any]
Step = tuple[Any, Any, list[Tensor], Tensor, Tensor]
HAS_SUPCON = pytest.mark.skipif("supcon" not in METHODS, reason="this solo-learn has no supcon")


@pytest.fixture
def graph(digits: ImageDataset) -> SimilarityGraph:
    """The odd samples are paired with an image of another class, the even ones with themselves."""
    nodes = np.arange(len(digits))
    others = np.array([next(j for j in np.roll(nodes, -i) if digits.labels[j] != digits.labels[i]) for i in nodes])
    return SimilarityGraph.from_edges(len(digits), nodes, np.where(nodes % 2, others, nodes), manifest=digits.manifest)


@pytest.fixture
def one_step(
    make: Make, digits: ImageDataset, graph: SimilarityGraph, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Step]:
    """Train `method` for one step; return it as it was and as it is, and the step's views, indices and labels."""
    monkeypatch.chdir(tmp_path)  # main's all4one writes into the working folder

    def run(method: str, policies: list[Policy] | None = None, **overrides: Any) -> Step:
        module = make(method, **overrides)
        before = make(method, **overrides).train()  # of the same seed
        pairs = policies or [Policy(crop_size=8, num_crops=2)]
        loader = pair_loader(digits, pairs, batch_size=8, seed=0, graph=graph, pair_batch=True)
        index, views, targets = next(iter(loader))
        trainer = Trainer(
            max_epochs=1,
            limit_train_batches=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, loader)
        assert (index[:, 0] != index[:, 1]).any()
        assert (targets[:, 0] != targets[:, 1]).any()
        return before, module, views, index, targets

    return run


def embedding(module: Any, view: Tensor, teacher: str = "") -> Tensor:
    """Return what the network, or its teacher, makes of a view, as the hosts' queues hold it."""
    with torch.no_grad():
        features = getattr(module, f"{teacher}backbone")(view.contiguous(memory_format=torch.channels_last))
        return F.normalize(getattr(module, f"{teacher}projector")(features), dim=-1)


@pytest.mark.parametrize("method", [name for name in ("nnclr", "nnsiam", "nnbyol", "all4one") if name in METHODS])
def test_label_queues_hold_the_anchor_with_its_own_label(method: str, one_step: Callable[..., Step]) -> None:
    before, after, views, _, targets = one_step(f"gps_{method}")
    teacher = "momentum_" if method in ("nnbyol", "all4one") else ""
    torch.testing.assert_close(after.queue[:8], embedding(before, views[0], teacher))
    assert after.queue_y[:8].tolist() == targets[:, 0].tolist()
    assert (after.queue_y[8:] == before.queue_y[8:]).all()
    if hasattr(after, "queue_index"):
        assert after.queue_index[:8].tolist() == one_step(f"gps_{method}")[3][:, 0].tolist()


def test_mocov2plus_keeps_a_queue_for_each_view(one_step: Callable[..., Step]) -> None:
    before, after, views, _, _ = one_step("gps_mocov2plus")
    for view in (0, 1):
        torch.testing.assert_close(after.queue[view, :, :8].T, embedding(before, views[view], "momentum_"))


def test_ressl_keeps_the_neighbours(one_step: Callable[..., Step]) -> None:
    before, after, views, _, _ = one_step("gps_ressl")
    torch.testing.assert_close(after.queue[:8], embedding(before, views[1], "momentum_"))


def test_swav_keeps_a_queue_for_each_view(one_step: Callable[..., Step]) -> None:
    before, after, views, _, _ = one_step("gps_swav")
    for view in (0, 1):
        torch.testing.assert_close(after.queue[view, :8], embedding(before, views[view]))


def test_deepclusterv2_remembers_under_an_index_that_image_only(one_step: Callable[..., Step]) -> None:
    before, after, views, index, _ = one_step("gps_deepclusterv2")
    anchor, second = embedding(before, views[0]), embedding(before, views[1])
    assert after.local_memory_index[:8].tolist() == index[:, 0].tolist()
    torch.testing.assert_close(after.local_memory_embeddings[0, :8], anchor)
    own = index[:, 0] == index[:, 1]
    assert own.any()
    torch.testing.assert_close(after.local_memory_embeddings[1, :8], torch.where(own[:, None], second, anchor))
    assert not torch.allclose(second[~own], anchor[~own], atol=1e-2)  # or the test could not tell


def test_deepclusterv2_teaches_both_views_the_anchors_cluster(one_step: Callable[..., Step]) -> None:
    module, _, views, index, targets = one_step("gps_deepclusterv2")
    seen: dict[str, Tensor] = {}
    module.log = lambda name, value, **_: seen.update({name: value.detach()})
    module.log_dict = lambda metrics, **_: seen.update(metrics)
    module.assignments = torch.arange(32).reshape(2, 16) * 7 % 5
    module.register_buffer("local_memory_index", torch.zeros(16, dtype=torch.long))
    module.register_buffer("local_memory_embeddings", torch.zeros(2, 16, 8))
    z = [embedding(module, view) for view in views]
    module.training_step([index, views, targets], 0)
    clusters = module.assignments[:, index[:, 0]]
    heads = [
        F.cross_entropy(prototypes(torch.cat(z)) / 0.1, clusters[head].repeat(2))
        for head, prototypes in enumerate(module.prototypes)
    ]
    torch.testing.assert_close(seen["train_deepcluster_loss"], sum(heads) / 2, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif("supcon" in METHODS, reason="main's simclr has no labels")
def test_supervised_simclr_draws_classes_together_by_the_images_shown(one_step: Callable[..., Step]) -> None:
    *_, targets = one_step("gps_simclr", method_kwargs={"supervised": True})
    module = one_step("gps_simclr", method_kwargs={"supervised": True})[1]
    labels = [*targets[:, 0].tolist(), *targets[:, 1].tolist()]
    expected = [[i != j and a == b for j, b in enumerate(labels)] for i, a in enumerate(labels)]
    assert module.gen_extra_positives_gt(targets[:, 0]).tolist() == expected


@pytest.mark.skipif("supcon" in METHODS, reason="main's simclr has no labels")
def test_supervised_simclr_takes_unlabelled_images_for_no_class(make: Make) -> None:
    module = make("gps_simclr", method_kwargs={"supervised": True})
    module._view_labels = torch.tensor([-1, 3, -1, -1, 3, -1])
    expected = torch.zeros(6, 6, dtype=torch.bool)
    expected[1, 4] = expected[4, 1] = True
    assert torch.equal(module.gen_extra_positives_gt(torch.tensor([-1, 3, -1])), expected)


@HAS_SUPCON
def test_supcon_by_loops(one_step: Callable[..., Step]) -> None:
    before, after, views, _, targets = one_step("gps_supcon")
    z = torch.cat([embedding(before, view) for view in views]).double()
    labels = torch.cat([targets[:, 0], targets[:, 1]]).tolist()
    losses = []
    for i, a in enumerate(labels):
        similar = torch.exp(z @ z[i] / 0.2)
        positives = sum(similar[j] for j, b in enumerate(labels) if b == a and j != i)
        negatives = sum(similar[j] for j, b in enumerate(labels) if b != a)
        if positives:
            losses.append(-torch.log(positives / (positives + negatives)))
    assert 0 < len(losses) < 16  # some views have no positive: without care the loss would be infinite
    expected = torch.stack(losses).mean().float()
    torch.testing.assert_close(after.trainer.callback_metrics["train_nce_loss"], expected, rtol=1e-4, atol=1e-4)


@HAS_SUPCON
def test_supcon_without_labels_is_an_error(make: Make) -> None:
    module = make("gps_supcon")
    views = [torch.zeros(8, 3, 8, 8)] * 2
    with pytest.raises(DataError, match="supcon needs labels"):
        module.training_step([torch.zeros(8, 2, dtype=torch.long), views, -torch.ones(8, 2, dtype=torch.long)], 0)


MULTI_CROP = [{"crop_size": 8, "num_crops": 2}, {"crop_size": 6, "num_crops": 2}]


@pytest.mark.skipif("supcon" not in METHODS, reason="the release takes small crops in simclr only")
@pytest.mark.parametrize("method", ["swav", "dino", "byol", "supcon"])
def test_small_crops_of_neighbours(method: str, one_step: Callable[..., Step]) -> None:
    policies = [Policy(**crop) for crop in MULTI_CROP]
    before, after, views, index, _ = one_step(f"gps_{method}", policies, augmentations=MULTI_CROP)
    assert [view.shape[-1] for view in views] == [8, 8, 6, 6]
    assert index.shape == (8, 4)
    assert not torch.equal(before.backbone.conv1.weight, after.backbone.conv1.weight)
    if method == "swav":  # the queues are of the large crops
        torch.testing.assert_close(after.queue[1, :8], embedding(before, views[1]))


def test_small_crops_in_simclr(one_step: Callable[..., Step]) -> None:
    policies = [Policy(**crop) for crop in MULTI_CROP]
    before, after, views, *_ = one_step("gps_simclr", policies, augmentations=MULTI_CROP)
    assert len(views) == 4
    assert not torch.equal(before.backbone.conv1.weight, after.backbone.conv1.weight)


def test_views_that_a_method_does_not_take(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"vicreg.*takes no small crops, and the augmentations make 2.*simclr"):
        make("gps_vicreg", augmentations=MULTI_CROP)
    with pytest.raises(ConfigError, match="barlow_twins compares two views, and the augmentations make 3"):
        make("gps_barlow_twins", augmentations=[{"crop_size": 8, "num_crops": 3}])


def test_third_party_subclasses_inherit_the_repair() -> None:
    base: Any = METHODS["deepclusterv2"]
    mine = type("Mine", (base,), {})
    assert on_pairs(mine).update_memory_banks is find_method("gps_deepclusterv2").update_memory_banks  # type: ignore[attr-defined]
    own: Any = type("Mine", (on_pairs(base),), {})
    assert own.update_memory_banks is DeepClusterPairs.update_memory_banks


def test_the_mixin_alone_is_refused_where_a_repair_is_needed() -> None:
    base: Any = METHODS["deepclusterv2"]
    for bases in ((GraphPairs, base), (GraphPairs, base, DeepClusterPairs), (DeepClusterPairs, GraphPairs, base)):
        with pytest.raises(ConfigError, match=r'class Mine\(on_pairs\(METHODS\["deepclusterv2"\]\)\)'):
            type("Mine", bases, {})
    type("Mine", (GraphPairs, DeepClusterPairs, base), {})
    type("Mine", (GraphPairs, METHODS["byol"]), {})  # needs none
