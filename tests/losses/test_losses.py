"""Every loss against explicit loops in float64, on graphs and types of all kinds; and its gradient."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pal_plugin.losses import (
    BatchGraph,
    BlockGraph,
    DenseGraph,
    PairImportance,
    SparseGraph,
    graph_barlow_loss,
    graph_byol_loss,
    graph_simclr_loss,
    graph_spectral_loss,
    graph_vic2_loss,
    graph_vicreg_loss,
)

VIEWS, BATCH, DIM = 3, 4, 5
ROWS = VIEWS * BATCH
GAP = 0.37  # between the predictions and the targets that the BYOL loss of one argument is given


def apart(rows: int) -> list[tuple[int, int]]:
    return list(itertools.permutations(range(rows), 2))


def simclr_loops(z: Tensor, g: Tensor) -> Tensor:
    unit = [row / row.norm() for row in z]
    losses = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        positives = sum(g[i, j] for j in others)
        if positives == 0:
            continue
        normaliser = torch.log(sum(torch.exp(unit[i] @ unit[k] / 0.2) for k in others))
        losses.append(-sum(g[i, j] / positives * (unit[i] @ unit[j] / 0.2 - normaliser) for j in others))
    return sum(losses) / len(losses)


def vicreg_loops(z: Tensor, g: Tensor) -> Tensor:
    total = sum(g[i, j] for i, j in apart(len(z)))
    loss = 25 * sum(g[i, j] * (z[i] - z[j]) @ (z[i] - z[j]) for i, j in apart(len(z))) / (total * z.shape[1])
    for v in range(VIEWS):
        view = z[v * BATCH : (v + 1) * BATCH]
        centred = view - sum(view) / BATCH
        for d in range(DIM):
            variance = centred[:, d] @ centred[:, d] / (BATCH - 1)
            loss = loss + 25 * torch.relu(1 - torch.sqrt(variance + 1e-4)) / DIM
        for d, e in apart(DIM):
            loss = loss + (centred[:, d] @ centred[:, e] / (BATCH - 1)) ** 2 / DIM
    return loss


def barlow_loops(z: Tensor, g: Tensor) -> Tensor:
    views = [z[v * BATCH : (v + 1) * BATCH] for v in range(VIEWS)]
    standard = [(view - view.mean(0)) / torch.sqrt(view.var(0, correction=0) + 1e-5) for view in views]
    losses = []
    for v, w in apart(VIEWS):
        block = g[v * BATCH : (v + 1) * BATCH, w * BATCH : (w + 1) * BATCH]
        if block.sum() == 0:
            continue
        loss = torch.zeros((), dtype=z.dtype)
        for d, e in itertools.product(range(DIM), repeat=2):
            c = sum(
                block[a, b] * standard[v][a, d] * standard[w][b, e]
                for a, b in itertools.product(range(BATCH), repeat=2)
            )
            loss = loss + ((c / block.sum() - 1) ** 2 if d == e else 5e-3 * (c / block.sum()) ** 2)
        losses.append(loss)
    return 0.1 * sum(losses) / len(losses)


def spectral_loops(z: Tensor, g: Tensor) -> Tensor:
    pairs = apart(len(z))
    total = sum(g[i, j] for i, j in pairs)
    return sum(-2 * g[i, j] / total * (z[i] @ z[j]) + (z[i] @ z[j]) ** 2 / len(pairs) for i, j in pairs)


def vic2_loops(z: Tensor, g: Tensor) -> Tensor:
    return sum((z[i] @ z[j] - g[i, j]) ** 2 for i, j in itertools.product(range(len(z)), repeat=2))


def byol_loops(z: Tensor, g: Tensor) -> Tensor:
    pairs = [(i, j) for i, j in apart(len(z)) if i // BATCH != j // BATCH]
    target = (z + GAP).detach()
    distances = sum(g[i, j] * (z[i] / z[i].norm() - target[j] / target[j].norm()).square().sum() for i, j in pairs)
    return VIEWS * distances / sum(g[i, j] for i, j in pairs)


def byol(z: Tensor, graph: Tensor | BatchGraph) -> Tensor:
    return graph_byol_loss(z, z + GAP, graph, views=VIEWS)


Loss = Callable[[Tensor, "Tensor | BatchGraph"], Tensor]
LOSSES: dict[str, tuple[Loss, Loss]] = {
    "simclr": (graph_simclr_loss, simclr_loops),
    "vicreg": (lambda z, graph: graph_vicreg_loss(z, graph, views=VIEWS), vicreg_loops),
    "barlow": (lambda z, graph: graph_barlow_loss(z, graph, views=VIEWS), barlow_loops),
    "spectral": (graph_spectral_loss, spectral_loops),
    "vic2": (graph_vic2_loss, vic2_loops),
    "byol": (byol, byol_loops),
}
KINDS = ["asymmetric", "symmetric", "empty rows", "self-loops"]


def embeddings(seed: int = 0) -> Tensor:
    return torch.randn(ROWS, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def matrix(kind: str) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    g = torch.rand(ROWS, ROWS, dtype=torch.float64, generator=generator)
    g = g * (torch.rand(ROWS, ROWS, generator=generator) < 0.3)
    if kind == "symmetric":
        g = g + g.T
    elif kind == "empty rows":
        g[:5] = 0
        g[:, 8:] = 0  # and no edge leads to the last view: Barlow Twins leaves those pairs of views out
    elif kind == "self-loops":
        g = g + 7 * torch.eye(ROWS)
    elif kind == "signed":
        g = torch.where(torch.rand(ROWS, ROWS, generator=generator) < 0.5, -g, g)
    return g


def overlapping_blocks() -> BlockGraph:
    samples = torch.tensor([70_000, 5, 9, 5]).repeat(VIEWS)  # the second and fourth are one sample drawn twice
    classes = torch.tensor([0, -1, 1, -3, 0, 0, 1, -1, -1, 1, 1, 0])  # not the same in every view
    return BlockGraph([(0.1, samples), (0.9, classes)])


FORMATS: dict[str, Callable[[Tensor], Tensor | BatchGraph]] = {
    "dense": lambda g: g,
    "coo": lambda g: g.to_sparse(),
    "csr": lambda g: g.to_sparse_csr(),
    "graph": DenseGraph,
}


@pytest.mark.parametrize(("name", "kind"), [*itertools.product(LOSSES, KINDS), ("vic2", "signed")])
def test_loops_on_every_kind_of_graph(name: str, kind: str) -> None:
    loss, loops = LOSSES[name]
    z, reference_z = embeddings().requires_grad_(), embeddings().requires_grad_()
    g = matrix(kind)
    reference = loops(reference_z, g)
    (reference_gradient,) = torch.autograd.grad(reference, reference_z)
    for form in FORMATS.values():
        value = loss(z, form(g))
        assert value.shape == ()
        assert value.dtype == torch.float64
        (gradient,) = torch.autograd.grad(value, z)
        torch.testing.assert_close(value, reference, rtol=1e-10, atol=0)
        torch.testing.assert_close(gradient, reference_gradient, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", LOSSES)
def test_loops_on_blocks(name: str) -> None:
    loss, loops = LOSSES[name]
    z = embeddings()
    blocks = overlapping_blocks().to(z)
    reference = loops(z, blocks.to_dense().matrix)
    torch.testing.assert_close(loss(z, blocks), reference, rtol=1e-10, atol=0)
    torch.testing.assert_close(loss(z, blocks.to_sparse()), reference, rtol=1e-10, atol=0)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.int64, torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", LOSSES)
def test_types_of_graphs(name: str, dtype: torch.dtype) -> None:
    loss, loops = LOSSES[name]
    g = (matrix("symmetric") > 0).to(dtype)
    reference = loops(embeddings(), g.double())
    for graph in (g, g.to_sparse()):
        torch.testing.assert_close(loss(embeddings(), graph), reference, rtol=1e-10, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", LOSSES)
def test_low_precision_is_computed_in_float32_under_autocast(name: str, dtype: torch.dtype) -> None:
    loss, loops = LOSSES[name]
    z = (3 * embeddings()).to(dtype)
    for graph in (matrix("asymmetric").float(), matrix("asymmetric").float().to_sparse(), overlapping_blocks()):
        dense = graph.to_dense().matrix if isinstance(graph, BlockGraph) else graph.to_dense()
        reference = loops(z.float().double() if name != "byol" else z.double(), dense.double())
        leaf = z.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = loss(leaf, graph)
        value.backward()
        assert value.dtype == torch.float32
        assert leaf.grad is not None
        assert leaf.grad.dtype == dtype
        # BYOL's targets are made here in the low precision itself.
        rtol = 1e-5 if name != "byol" or dtype == torch.float32 else 2e-2
        torch.testing.assert_close(value.double(), reference, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("form", ["dense", "coo", "blocks"])
@pytest.mark.parametrize("name", LOSSES)
def test_gradcheck(name: str, form: str) -> None:
    graph = overlapping_blocks() if form == "blocks" else FORMATS[form](matrix("self-loops"))
    fixed = (embeddings() + GAP).detach()
    loss = (
        (lambda z: graph_byol_loss(z, fixed, graph, views=VIEWS))
        if name == "byol"
        else (lambda z: LOSSES[name][0](z, graph))
    )
    assert torch.autograd.gradcheck(loss, embeddings().requires_grad_())


def test_targets_get_no_gradient() -> None:
    p, target = embeddings().requires_grad_(), embeddings(1).requires_grad_()
    graph_byol_loss(p, target, matrix("symmetric"), views=VIEWS).backward()
    assert p.grad is not None
    assert target.grad is None


def test_class_graph_gives_the_supervised_closed_form() -> None:
    """Of Z with one row per class, VIC² is zero where ZZᵀ = G, which has the rank of the number of classes."""
    labels = torch.tensor([0, 1, 2, 0, 1, 1, 2, 0, 0, 1, 2, 2])
    z = torch.nn.functional.one_hot(labels, 3).double().requires_grad_()
    rotation = torch.linalg.qr(torch.randn(3, DIM, dtype=torch.float64).T)[0].T
    for graph in (BlockGraph([(1.0, labels)]), labels[:, None] == labels):
        value = graph_vic2_loss(z @ rotation, graph)
        (gradient,) = torch.autograd.grad(value, z)
        torch.testing.assert_close(value, torch.zeros_like(value), rtol=0, atol=1e-12)
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)
        too_few = graph_vic2_loss((z @ rotation)[:, :2], graph)
        assert too_few > 1  # two dimensions cannot hold three classes


def test_class_graph_gives_supervised_contrastive() -> None:
    """SupCon (Khosla et al.) with the mean outside the logarithm, written out for classes of different sizes."""
    labels = torch.tensor([0, 1, 0, 1, 1, 2, 0, 1, 0, 1, 1, 2])
    z = embeddings()
    unit = z / z.norm(dim=1, keepdim=True)
    loss = 0.0
    for i in range(ROWS):
        others = [k for k in range(ROWS) if k != i]
        positives = [k for k in others if labels[k] == labels[i]]
        log_total = math.log(sum(math.exp(float(unit[i] @ unit[k]) / 0.5) for k in others))
        loss -= sum(float(unit[i] @ unit[k]) / 0.5 - log_total for k in positives) / len(positives) / ROWS
    value = graph_simclr_loss(z, BlockGraph([(1.0, labels)]), temperature=0.5)
    assert float(value) == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("name", ["simclr", "spectral", "byol", "vicreg"])
def test_weights_of_a_graph_matter_only_by_their_ratios(name: str) -> None:
    loss, _ = LOSSES[name]
    graph = DenseGraph(matrix("asymmetric"))
    torch.testing.assert_close(loss(embeddings(), graph.scaled(1e-3)), loss(embeddings(), graph), rtol=1e-10, atol=0)


def test_large_values_stay_finite() -> None:
    z = 1e4 * embeddings().float()
    blocks = overlapping_blocks()
    for name, (loss, _) in LOSSES.items():
        assert torch.isfinite(loss(z, blocks)), name
    assert torch.isfinite(graph_simclr_loss(z, blocks, temperature=1e-3))


@pytest.mark.parametrize("form", FORMATS)
def test_importance_weights(form: str) -> None:
    z, g, weights = embeddings(), matrix("self-loops"), 3 * matrix("asymmetric").flip(0) + 0.5
    importance = PairImportance(weights, edge_total=11.0, pair_total=132.0)
    pairs = apart(ROWS)
    spectral = sum(weights[a, b] * (-2 * g[a, b] / 11 * (z[a] @ z[b]) + (z[a] @ z[b]) ** 2 / 132) for a, b in pairs)
    value = graph_spectral_loss(z, FORMATS[form](g), importance=importance)
    torch.testing.assert_close(value, spectral, rtol=1e-10, atol=0)

    p, target = (x / x.norm(dim=1, keepdim=True) for x in (z, embeddings(1)))
    byol = VIEWS * sum(
        weights[a, b] * g[a, b] * (p[a] - target[b]).square().sum() / 11 for a, b in pairs if a // BATCH != b // BATCH
    )
    value = graph_byol_loss(z, embeddings(1), FORMATS[form](g), views=VIEWS, importance=importance)
    torch.testing.assert_close(value, byol, rtol=1e-10, atol=0)


def test_importance_of_one_is_the_plain_loss() -> None:
    """A batch that is the whole data set shows every pair once."""
    z, g = embeddings(), matrix("asymmetric").fill_diagonal_(0)
    importance = PairImportance(torch.ones(ROWS, ROWS), float(g.sum()), ROWS * (ROWS - 1))
    torch.testing.assert_close(graph_spectral_loss(z, g, importance=importance), graph_spectral_loss(z, g))
    total = sum(float(between.total()) for between in SparseGraph(g.to_sparse()).across(VIEWS).values())
    importance = PairImportance(torch.ones(ROWS, ROWS), total, ROWS * (ROWS - 1))
    torch.testing.assert_close(
        graph_byol_loss(z, embeddings(1), g, views=VIEWS, importance=importance),
        graph_byol_loss(z, embeddings(1), g, views=VIEWS),
    )


def test_a_batch_without_edges_counts_with_importance_weights() -> None:
    importance = PairImportance(torch.ones(ROWS, ROWS), 5.0, 100.0)
    none = torch.zeros(ROWS, ROWS)
    assert float(graph_byol_loss(embeddings(), embeddings(1), none, views=VIEWS, importance=importance)) == 0
    assert float(graph_spectral_loss(embeddings(), none, importance=importance)) > 0
