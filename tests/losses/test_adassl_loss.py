"""AdaSSL's contrastive loss and its baselines against loops in float64, and the losses that they start from."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pal_plugin.errors import LossError
from pal_plugin.losses import augmentation_graph, graph_simclr_loss
from pal_plugin.losses.adassl import AnInfoNCE, HInfoNCE, InfoNCE, LearnableScale, adassl_info_nce, clamped_share

BATCH, DIM = 5, 4


def embeddings(count: int = 4, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(BATCH, DIM, dtype=dtype, generator=generator).requires_grad_() for _ in range(count)]


def mean_by_loops(logits: dict[tuple[int, int], Tensor], clamp: float | None) -> Tensor:
    """Rows: edited x, then edited y. Row i is of pair i mod B; it was edited from the other view of it."""
    losses = []
    for i in range(2 * BATCH):
        kept = [j for j in range(2 * BATCH) if j != (i + BATCH) % (2 * BATCH)]
        held = {j: logits[i, j] if clamp is None else logits[i, j].clamp(-clamp, clamp) for j in kept}
        losses.append(torch.stack(list(held.values())).logsumexp(0) - held[i])
    return torch.stack(losses).mean()


def cosine_loops(rows: list[Tensor], tau: float, scale: Tensor | float) -> dict[tuple[int, int], Tensor]:
    contexts, targets = [*rows[0], *rows[1]], [*rows[2], *rows[3]]
    return {
        (i, j): scale * (c @ t) / (c.norm() * t.norm()) / tau
        for i, c in enumerate(contexts)
        for j, t in enumerate(targets)
    }


@pytest.mark.parametrize("clamp", [20.0, 3.0, None])
@pytest.mark.parametrize("tau", [0.02, 0.1, 1.0])
def test_loops(tau: float, clamp: float | None) -> None:
    rows = embeddings()
    scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    loss = adassl_info_nce(*rows, temperature=tau, scale=scale, clamp=clamp)
    expected = mean_by_loops(cosine_loops(rows, tau, scale), clamp)
    torch.testing.assert_close(loss, expected)
    leaves = [*rows, scale]
    torch.testing.assert_close(torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, leaves))


def test_a_sample_twice_in_a_batch_is_masked_by_slot() -> None:
    """Both copies are rows like any other: each is the other's negative, as the authors have it."""
    rows = [torch.cat([z[:3], z[:2]]).detach() for z in embeddings()]
    torch.testing.assert_close(adassl_info_nce(*rows), mean_by_loops(cosine_loops(rows, 0.1, 1.0), 20.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_an_edit_it_is_nt_xent(dtype: torch.dtype) -> None:
    x, y = embeddings(2, dtype)
    ours = adassl_info_nce(y, x, x, y, temperature=0.2)
    nt_xent = graph_simclr_loss(torch.cat([x, y]), augmentation_graph(BATCH, 2), temperature=0.2)
    torch.testing.assert_close(ours, nt_xent)
    torch.testing.assert_close(torch.autograd.grad(ours, [x, y]), torch.autograd.grad(nt_xent, [x, y]))
    torch.testing.assert_close(InfoNCE(temperature=0.2)(x, y), nt_xent)


def test_clamped_logits_have_no_gradient() -> None:
    rows = embeddings()
    loss = adassl_info_nce(*rows, temperature=1e-6, clamp=1.0)  # every one is cut off
    assert all(gradient.eq(0).all() for gradient in torch.autograd.grad(loss, rows))
    assert clamped_share(*rows, temperature=1e-6, clamp=1.0) == 1


def test_share_of_clamped_logits() -> None:
    rows = embeddings()
    logits = cosine_loops(rows, 0.05, 2.0)
    kept = [value for (i, j), value in logits.items() if j != (i + BATCH) % (2 * BATCH)]
    share = clamped_share(*rows, temperature=0.05, scale=2.0)
    assert share == pytest.approx(sum(abs(value.item()) > 20 for value in kept) / len(kept))
    assert 0 < share < 1
    assert not share.requires_grad
    assert clamped_share(*rows, temperature=0.05) == 0  # λ/τ ≤ 20
    assert clamped_share(*rows, temperature=0.001, clamp=None) == 0


def test_the_learnable_scale_starts_at_one() -> None:
    scale = LearnableScale().double()
    assert scale().item() == pytest.approx(1, abs=1e-7)
    (raw,) = scale.parameters()
    assert raw.shape == ()
    rows = embeddings()
    adassl_info_nce(*rows, scale=scale()).backward()
    assert raw.grad is not None
    assert raw.grad != 0


def test_full_precision_inside_bfloat16() -> None:
    rows = embeddings(dtype=torch.float32)
    for losses in (adassl_info_nce, lambda *z: AnInfoNCE(DIM)(*z[:2]), lambda *z: HInfoNCE(DIM, ())(*z[:2])):
        plain = losses(*rows)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = losses(*rows)
        assert inside.dtype == torch.float32
        assert torch.equal(inside, plain)


# baselines


def precision_loops(x: Tensor, y: Tensor, precision: Tensor, tau: float) -> dict[tuple[int, int], Tensor]:
    """Logits of AnInfoNCE up to a constant, from the precision (2B, D) of contexts [y; x]."""
    contexts, targets = F.normalize(torch.cat([y, x]), dim=1), F.normalize(torch.cat([x, y]), dim=1)
    return {
        (i, j): -sum(precision[i, d] * (contexts[i, d] - targets[j, d]) ** 2 for d in range(DIM)) / (2 * tau)
        for i in range(2 * BATCH)
        for j in range(2 * BATCH)
    }


def randomised(loss: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in loss.parameters():
        nn.init.normal_(parameter)
    return loss.double()


@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_aninfonce_by_loops(tau: float) -> None:
    x, y = embeddings(2)
    loss = randomised(AnInfoNCE(DIM, temperature=tau, clamp=None))
    precision = F.softplus(loss.raw).expand(2 * BATCH, DIM)
    assert precision.std() > 0.1
    expected = mean_by_loops(precision_loops(x, y, precision, tau), None)
    ours = loss(x, y)
    torch.testing.assert_close(ours, expected)
    leaves = [x, y, loss.raw]
    torch.testing.assert_close(torch.autograd.grad(ours, leaves), torch.autograd.grad(expected, leaves))


def test_h_infonce_by_loops() -> None:
    """The precision is the context's own, row by row."""
    x, y = embeddings(2)
    loss = randomised(HInfoNCE(DIM, (7,), temperature=0.5, clamp=None))
    precision = torch.cat([loss.precision(y), loss.precision(x)])
    assert precision.std(0).min() > 0.01
    ours, expected = loss(x, y), mean_by_loops(precision_loops(x, y, precision, 0.5), None)
    torch.testing.assert_close(ours, expected)
    leaves = [x, y, *loss.parameters()]
    torch.testing.assert_close(torch.autograd.grad(ours, leaves), torch.autograd.grad(expected, leaves))


@pytest.mark.parametrize("clamp", [20.0, None])
@pytest.mark.parametrize("tau", [0.02, 0.1])
def test_baselines_start_at_infonce(tau: float, clamp: float | None) -> None:
    x, y = embeddings(2)
    settings: dict[str, Any] = {"temperature": tau, "clamp": clamp}
    expected = InfoNCE(**settings)(x, y)
    gradients = torch.autograd.grad(expected, [x, y])
    for loss in (AnInfoNCE(DIM, **settings), HInfoNCE(DIM, **settings)):
        ours = loss.double()(x, y)
        torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(torch.autograd.grad(ours, [x, y]), gradients, rtol=1e-5, atol=1e-6)


def test_aninfonce_learns_which_dimensions_vary() -> None:
    """Pairs on a sphere that differ along two of four dimensions: there Λ falls behind."""
    generator = torch.Generator().manual_seed(0)
    loss = AnInfoNCE(DIM, temperature=0.2)
    optimiser = torch.optim.Adam(loss.parameters(), lr=0.05)
    for _ in range(100):
        x = torch.randn(64, DIM, generator=generator)
        y = x + torch.tensor([0.05, 0.05, 1.5, 1.5]) * torch.randn(64, DIM, generator=generator)
        optimiser.zero_grad()
        loss(x, y).backward()
        optimiser.step()
    precision = F.softplus(loss.raw)
    assert precision[:2].min() > 2 * precision[2:].max()


# errors


@pytest.mark.parametrize(
    "settings", [{"temperature": 0.0}, {"temperature": math.nan}, {"clamp": 0.0}, {"clamp": -20.0}]
)
def test_settings(settings: dict[str, float]) -> None:
    with pytest.raises(LossError, match="positive"):
        adassl_info_nce(*embeddings(), **settings)
    with pytest.raises(LossError, match="positive"):
        clamped_share(*embeddings(), **settings)
    with pytest.raises(LossError, match="positive"):
        AnInfoNCE(DIM, **settings)


def test_shapes() -> None:
    x, y = embeddings(2)
    with pytest.raises(LossError, match=r"\(4, 4\), \(5, 4\)"):
        adassl_info_nce(x, y, x, y[:4])
    with pytest.raises(LossError, match="1 pair has no negatives"):
        adassl_info_nce(x[:1], y[:1], x[:1], y[:1])
    with pytest.raises(LossError, match="int64"):
        adassl_info_nce(*(z.long() for z in (x, y, x, y)))
    with pytest.raises(LossError, match=r"\(5, 4\)"):
        AnInfoNCE(DIM + 1)(x, y)
    with pytest.raises(LossError, match=r"\(5, 4\)"):
        HInfoNCE(DIM + 1)(x, y)
