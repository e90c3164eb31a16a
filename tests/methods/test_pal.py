"""`pal_*`: batch graph, oracle edges and importance against loops; without known relations, the host's own method."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pal_plugin.data import ImageDataset, PairComposition, Policy, Request, pair_loader
from pal_plugin.errors import ConfigError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.graph.relations import Cliques, Edges, Relations, relations
from pal_plugin.methods import find_method, method_names
from pal_plugin.methods.known import KnownRelations
from pal_plugin.oracle import oracle_graph

Make = Callable[..., Any]
NAMES = ("barlow_twins", "byol", "simclr", "spectral", "vicreg")
# 0, 2, 4 are of one kind, 1 and 5 of another; nothing is known of 3
KIND = np.array([0, 1, 0, 2, 0, 1])
INDEX = torch.tensor([4, 0, 3, 1, 4, 2])  # 4 twice, 5 not at all


def cliques() -> Relations:
    return Cliques(KIND)


def edges() -> Relations:
    """A path 0 → 2 → 4, one direction each, and 1 — 5 in both; weights of all sizes, and a cannot-link."""
    weights = [0.5, 3.0, 1.0, 1.0, -1.0]
    return Edges(SimilarityGraph.from_edges(6, [0, 2, 1, 5, 3], [2, 4, 5, 1, 0], weights))


BOTH = pytest.mark.parametrize("known", [cliques(), edges()], ids=["cliques", "edges"])


def looped(known: Relations, index: Tensor, views: int, alpha: float) -> Tensor:
    """(1 − α)·1{same sample} + α·1{known to be related, or the same known sample}, row by row."""
    samples = index.repeat(views).tolist()
    graph = torch.zeros(len(samples), len(samples), dtype=torch.float64)
    for (a, i), (b, j) in itertools.product(enumerate(samples), repeat=2):
        told = bool(known.related(i, j)) or (i == j and bool(known.known[i]))
        graph[a, b] = (1 - alpha) * (i == j) + alpha * told
    return graph


def dense(graph: Any, size: int) -> Tensor:
    product: Tensor = graph.matmul(torch.eye(size))
    return product.double()


@BOTH
@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_graph_of_a_batch(known: Relations, views: int, alpha: float) -> None:
    graph, count = KnownRelations(known, alpha=alpha, views=views).batch(INDEX)
    torch.testing.assert_close(dense(graph, views * len(INDEX)), looped(known, INDEX, views, alpha), atol=1e-6, rtol=0)
    pairs = itertools.combinations(sorted(set(INDEX.tolist())), 2)
    assert int(count) == sum(bool(known.related(i, j)) for i, j in pairs)


@BOTH
@pytest.mark.parametrize("across_views", [False, True])
def test_the_totals_of_the_whole_data_set(known: Relations, across_views: bool) -> None:
    views, alpha, size = 3, 0.3, known.num_nodes
    everything = looped(known, torch.arange(size), views, alpha)
    view = torch.arange(views).repeat_interleave(size)
    kept = view[:, None] != view if across_views else ~torch.eye(len(view), dtype=torch.bool)
    composition = PairComposition(known, 6, 0.4)
    index = torch.tensor([0, 1, 3, 2, 0, 2])
    settings = KnownRelations(known, alpha=alpha, views=views)
    weights, edge_total, pair_total = settings.importance(index, composition, across_views=across_views)
    assert edge_total == pytest.approx(float(everything[kept].sum()))
    assert pair_total == len(view) * (len(view) - 1)
    expected = torch.from_numpy(np.tile(composition.importance(index.numpy()), (views, views)))
    torch.testing.assert_close(weights.double(), expected, rtol=1e-6, atol=0)


def steps(module: Any, dataset: ImageDataset, share: float = 0.0) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients of the first batch of 16."""
    policies = [Policy(crop_size=8, num_crops=2)]
    options: dict[str, Any] = {"batch_size": 16, "seed": 0, "pair_batch": module.wants_pair_batch}
    if module.wants_relations:
        known = relations(oracle_graph(dataset.labels, 1.0, manifest=dataset.manifest))
        loader = pair_loader(dataset, policies, **options, relations=known, related_share=share)
        module.relate(known, loader.batch_sampler.composition)
    else:
        loader = pair_loader(dataset, policies, **options)
    batch = next(iter(loader))
    module.train()
    out = module.training_step(batch, 0)
    loss: Tensor = out["loss"] if isinstance(out, dict) else out
    loss.backward()
    gradients = {name: value.grad for name, value in module.named_parameters() if value.grad is not None}
    return loss.detach(), gradients


@pytest.mark.parametrize("name", [name for name in NAMES if name != "spectral"])
def test_without_known_relations_it_is_the_hosts_method(name: str, digits: ImageDataset, make: Make) -> None:
    mine = make(f"pal_{name}", method_kwargs={"graph_alpha": 0.0, "related_share": 0.0})
    loss, gradients = steps(mine, digits)
    host = make(name)
    expected, others = steps(host, digits)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    assert gradients.keys() == others.keys()
    largest = max(float(gradient.abs().max()) for gradient in others.values())
    for key, gradient in gradients.items():  # a bias before BatchNorm has none but rounding errors
        scale = float(others[key].abs().max()) + 1e-3 * largest
        assert float((gradient - others[key]).abs().max()) < 2e-4 * scale, key
    # the heads see every view once: their statistics are the host's
    torch.testing.assert_close(dict(mine.named_buffers()), dict(host.named_buffers()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_known_relations_change_what_is_learnt(name: str, digits: ImageDataset, make: Make) -> None:
    _, without = steps(make(f"pal_{name}", method_kwargs={"graph_alpha": 0.0, "related_share": 0.0}), digits)
    loss, gradients = steps(make(f"pal_{name}", method_kwargs={"graph_alpha": 0.9, "related_share": 0.0}), digits)
    assert torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    assert not torch.allclose(gradients["projector.0.weight"], without["projector.0.weight"])


@pytest.mark.parametrize("name", ["byol", "spectral"])
def test_importance_weights(name: str, digits: ImageDataset, make: Make) -> None:
    settings = {"graph_alpha": 0.9, "related_share": 0.5}
    loss, _ = steps(make(f"pal_{name}", method_kwargs=settings), digits, share=0.5)
    weighted, gradients = steps(make(f"pal_{name}", method_kwargs=settings | {"importance": True}), digits, share=0.5)
    assert torch.isfinite(weighted)
    assert not torch.isclose(loss, weighted)
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())


@BOTH
@pytest.mark.filterwarnings("ignore:The graph of relations does not say")
def test_importance_makes_the_mean_over_batches_the_loss_of_the_whole_data_set(
    known: Relations, digits: ImageDataset, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Value and gradient, through training step and loader: exactly over all batches, and over those of many epochs.

    The networks are linear, so that an image has one embedding, whatever the batch. Epochs are independent, the batches
    of one are not: the standard error is that of the epochs' means.
    """
    alpha, dataset = 0.7, digits.subset(6, 0)
    settings = {"graph_alpha": alpha, "related_share": 0.5, "importance": True, "mu": 1e9}
    module = make("pal_spectral", method_kwargs=settings)
    options: dict[str, Any] = {"batch_size": 7, "seed": 0, "pair_batch": True}
    policies = [Policy(crop_size=8, num_crops=2)]  # no augmentation
    loader: Any = pair_loader(dataset, policies, **options, relations=known, related_share=0.5)
    composition = loader.batch_sampler.composition
    module.relate(known, composition)
    torch.manual_seed(0)
    module.backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))
    module.projector = torch.nn.Linear(4, 3, bias=False)
    module.classifier = torch.nn.Linear(4, 10)
    logged: list[dict[str, Tensor]] = []
    monkeypatch.setattr(module, "log_dict", lambda metrics, **_: logged.append(metrics))

    @functools.cache
    def found(samples: tuple[int, ...]) -> Tensor:
        batch = loader.dataset.__getitems__(Request(0, np.array(samples)))
        gradient = torch.autograd.grad(module.training_step(batch, 0), module.projector.weight)[0]
        return torch.cat([logged[-1]["graph_loss"].detach()[None], gradient.flatten()]).double()

    weight = module.projector.weight.detach().double().requires_grad_()
    _, (images, _), _ = loader.dataset.__getitems__(Request(0, np.arange(6)))
    rows = (module.backbone(images).detach().double() @ weight.T).repeat(2, 1)
    graph, inner = looped(known, torch.arange(6), 2, alpha).fill_diagonal_(0), rows @ rows.T
    whole = -2 * (graph * inner).sum() / graph.sum() + inner[~torch.eye(12, dtype=torch.bool)].square().mean()
    whole.backward()
    assert weight.grad is not None
    expected = torch.cat([whole.detach()[None], weight.grad.flatten()])

    assert (composition.uniform, composition.pairs) == (3, 2)
    pairs = known.pairs(np.arange(known.num_pairs)).tolist()
    every = itertools.product(itertools.combinations(range(6), 3), itertools.combinations(pairs, 2))
    mean = torch.stack([found(tuple(sorted([*samples, *one, *other]))) for samples, (one, other) in every]).mean(0)
    torch.testing.assert_close(mean, expected, rtol=1e-4, atol=1e-5)

    means = []
    for epoch in range(1500):
        loader.batch_sampler.set_epoch(epoch)
        means.append(torch.stack([found(tuple(sorted(r.indices.tolist()))) for r in loader.batch_sampler]).mean(0))
    error = torch.stack(means).std(0) / len(means) ** 0.5
    assert ((torch.stack(means).mean(0) - expected).abs() < 4 * error).all()
    assert error.norm() < 0.02 * expected.norm()


def test_spectral_rows_are_cut_to_their_length(make: Make, digits: ImageDataset) -> None:
    module = make("pal_spectral", method_kwargs={"mu": 4.0, "graph_alpha": 0.0})
    rows = torch.tensor([[3.0, 4.0], [0.6, 0.8], [0.0, 0.0], [0.0, 9.0]])
    module.projector = torch.nn.Identity()
    graph = KnownRelations(cliques(), alpha=0.0, views=2).batch(torch.tensor([0, 1]))[0]
    feats = rows.clone().requires_grad_()
    loss = module.graph_loss({"feats": list(feats.chunk(2))}, graph, None)
    loss.backward()
    cut = torch.tensor([[1.2, 1.6], [0.6, 0.8], [0.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    inner = cut @ cut.T
    apart = ~torch.eye(4, dtype=torch.bool)
    expected = -2 * (inner[0, 2] + inner[1, 3]) / 2 + (inner[apart] ** 2).mean()
    assert loss.item() == pytest.approx(float(expected), rel=1e-6)
    assert torch.isfinite(feats.grad).all()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("simclr", {"graph_alpha": 1.1}, r"graph_alpha is 1\.1.*\[0, 1\]"),
        ("simclr", {"graph_alpha": -0.1}, "graph_alpha is"),
        ("simclr", {"graph_alpha": float("nan")}, "graph_alpha is nan"),
        ("simclr", {"graph_alpha": "much"}, "graph_alpha is 'much'"),
        ("simclr", {"related_share": 1.0}, r"related_share is 1\.0.*\[0, 1\)"),
        ("simclr", {"importance": True}, "no importance weights.*pal_spectral or pal_byol"),
        ("byol", {"importance": 2}, "importance is 2"),
        ("byol", {"importance": True, "related_share": 0.0}, "related_share is 0"),
        ("simclr", {"supervised": True}, "graph.relations=1"),
        ("spectral", {"mu": 0}, "mu is 0"),
    ],
)
def test_settings_that_cannot_be(name: str, settings: dict[str, Any], message: str, make: Make) -> None:
    with pytest.raises(ConfigError, match=message):
        make(f"pal_{name}", method_kwargs=settings)


def test_byol_takes_no_small_crops(make: Make) -> None:
    with pytest.raises(ConfigError, match="takes no small crops"):
        make("pal_byol", augmentations=[{"crop_size": 8, "num_crops": 2}, {"crop_size": 4, "num_crops": 2}])


def test_a_step_before_anything_is_known(make: Make, digits: ImageDataset) -> None:
    module = make("pal_simclr")
    loader = pair_loader(digits, [Policy(crop_size=8, num_crops=2)], batch_size=8, seed=0, pair_batch=True)
    with pytest.raises(ConfigError, match=r"PALSimCLR has no relations to learn from.*pal train"):
        module.training_step(next(iter(loader)), 0)


@pytest.mark.parametrize("known", [Cliques([0, 0, 1]), Cliques([0, 1, 2])], ids=["some", "none"])
def test_nothing_but_relations_and_batches_that_may_hold_none(known: Relations, make: Make) -> None:
    module = make("pal_simclr", method_kwargs={"graph_alpha": 1.0, "related_share": 0.0})
    with pytest.raises(ConfigError, match=r"graph_alpha=1 .* of 3 images have none.*graph_alpha.*related_share"):
        module.relate(known, None)
    module.relate(Cliques([0, 0, 0]), None)  # every image is known: there always is something to learn from
    if known.num_pairs:
        module.relate(known, PairComposition(known, 4, 0.5))
    make("pal_simclr", method_kwargs={"graph_alpha": 0.9, "related_share": 0.0}).relate(known, None)


def test_names() -> None:
    names = set(method_names())
    assert {f"pal_{name}" for name in NAMES} <= names
    assert not any(name.startswith("gps_pal_") for name in names)
    found: Any = find_method("pal_byol")
    assert found.wants_relations
    with pytest.raises(ConfigError, match="'pal_byol' takes pairs as it is"):
        find_method("gps_pal_byol")
    with pytest.raises(ConfigError, match=r"pal_simlcr.*pal_simclr"):
        find_method("pal_simlcr")
