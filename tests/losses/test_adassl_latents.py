"""The latent r: its networks, its distributions, what it is charged, and in which precision."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from pal_plugin.errors import LossError
from pal_plugin.losses.adassl import (
    Gaussian,
    GaussianLatent,
    GivenLatent,
    Latent,
    NoLatent,
    SparseLatent,
    kl_divergence,
    mlp,
    straight_through,
)

DIM, LATENT, BATCH = 6, 3, 5


def rows(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


# networks


def test_layers() -> None:
    net = mlp([4, 5, 7, 3])
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU] * 2 + [nn.Linear]
    assert all(isinstance(layer, kind) for layer, kind in zip(net, kinds, strict=True))
    first, last = net[0], net[-1]
    assert first.bias is None
    assert last.bias.eq(0).all()
    assert mlp([4, 3], output_bias=False)[0].bias is None
    assert isinstance(mlp([4, 3], output_norm=True)[-1], nn.BatchNorm1d)


def test_weights_are_xavier_uniform_with_the_gain_of_relu() -> None:
    bound = math.sqrt(2) * math.sqrt(6 / (300 + 200))
    for weight in (mlp([300, 200])[0].weight, mlp([300, 200, 4])[0].weight):
        assert weight.abs().max() <= bound
        assert weight.abs().max() > 0.99 * bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)


@pytest.mark.parametrize("dims", [[4], [4, 0], []])
def test_widths_that_are_no_network(dims: list[int]) -> None:
    with pytest.raises(LossError, match="widths"):
        mlp(dims)


def test_a_batch_of_one() -> None:
    net = mlp([4, 5, 3])
    with pytest.raises(LossError, match="BatchNorm, and the batch has 1"):
        net(torch.randn(1, 4))
    assert net.eval()(torch.randn(1, 4)).shape == (1, 3)
    mlp([4, 3])(torch.randn(1, 4))  # nothing to normalise


def test_batch_norm_becomes_that_of_all_ranks() -> None:
    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(GaussianLatent(DIM, LATENT, (8,)))
    norms = [type(part) for part in synchronised.modules() if "BatchNorm" in type(part).__name__]
    assert norms == [nn.SyncBatchNorm] * 2


# the Gaussian


def test_kl_by_hand() -> None:
    q, p = Gaussian(torch.tensor([[1.0]]), torch.tensor([[2.0]])), Gaussian(torch.zeros(1, 1), torch.ones(1, 1))
    assert kl_divergence(q, p).item() == pytest.approx(2 - math.log(2))  # log(1/2) + (4 + 1)/2 − 1/2
    assert kl_divergence(p, q).item() == pytest.approx(math.log(2) + 2 / 8 - 1 / 2)


def test_kl_of_pytorch_and_by_quadrature() -> None:
    q = Gaussian(rows(BATCH, LATENT), rows(BATCH, LATENT, seed=1).exp())
    p = Gaussian(rows(BATCH, LATENT, seed=2), rows(BATCH, LATENT, seed=3).exp())
    kl = kl_divergence(q, p)
    normal_q, normal_p = torch.distributions.Normal(*q), torch.distributions.Normal(*p)
    torch.testing.assert_close(kl, torch.distributions.kl_divergence(normal_q, normal_p))
    z = torch.linspace(-9, 9, 20_001, dtype=torch.float64).view(-1, 1, 1)
    at = q.at(z)
    integrand = normal_q.log_prob(at).exp() * (normal_q.log_prob(at) - normal_p.log_prob(at)) * q.std
    torch.testing.assert_close(kl, torch.trapezoid(integrand, z.flatten(), dim=0), rtol=1e-8, atol=1e-8)


def test_kl_of_equal_distributions_is_exactly_zero() -> None:
    q = Gaussian(rows(BATCH, LATENT, dtype=torch.float32), rows(BATCH, LATENT, dtype=torch.float32).exp())
    assert kl_divergence(q, q).eq(0).all()


def last(net: nn.Sequential) -> nn.Linear:
    layer = net[-1]
    assert isinstance(layer, nn.Linear)
    return layer


@pytest.mark.parametrize(("raw", "log_variance"), [(-1e3, -10), (1e3, 10)])
def test_log_variances_are_held(raw: float, log_variance: float) -> None:
    latent = GaussianLatent(DIM, LATENT, (8,))
    nn.init.constant_(last(latent.prior_net).bias[LATENT:], raw)
    std = latent.prior(rows(BATCH, DIM, dtype=torch.float32)).std
    torch.testing.assert_close(2 * std.log(), torch.full_like(std, log_variance), rtol=1e-5, atol=0)


def test_sigma_is_softplus() -> None:
    latent = GaussianLatent(DIM, LATENT, (8,)).double()
    x = rows(BATCH, DIM)
    raw = latent.prior_net(x)
    prior = latent.prior(x)
    assert torch.equal(prior.mean, raw[:, :LATENT])
    torch.testing.assert_close(prior.std, (1 + raw[:, LATENT:].exp()).log() + 1e-6)


def test_draws_of_the_gaussian() -> None:
    q = Gaussian(rows(BATCH, LATENT).requires_grad_(), rows(BATCH, LATENT, seed=1).exp().requires_grad_())
    many = q.sample(draws=40_000, generator=torch.Generator().manual_seed(0))
    assert many.shape == (40_000, BATCH, LATENT)
    torch.testing.assert_close(many.mean(0), q.mean, rtol=0, atol=0.08)
    torch.testing.assert_close(many.std(0), q.std, rtol=0.02, atol=0)
    one = q.sample(generator=torch.Generator().manual_seed(7))
    noise = torch.randn(BATCH, LATENT, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    to_mean, to_std = torch.autograd.grad(one.sum(), [q.mean, q.std])
    assert torch.equal(to_mean, torch.ones_like(to_mean))
    torch.testing.assert_close(to_std, noise)


def test_the_penalty_of_a_pair_is_its_kl() -> None:
    latent = GaussianLatent(DIM, LATENT, (8,)).double()
    x, y = rows(BATCH, DIM), rows(BATCH, DIM, seed=1)
    draw = latent(x, y)
    torch.testing.assert_close(draw.penalty, kl_divergence(latent.posterior(x, y), latent.prior(x)))
    torch.testing.assert_close(draw.statistics["kl"], draw.penalty.mean(0))
    assert not draw.statistics["kl"].requires_grad


# gates


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gates_are_exactly_binary_with_the_gradient_of_soft_ones(dtype: torch.dtype) -> None:
    logits = (3 * rows(50, 40, dtype=dtype)).requires_grad_()
    uniform = torch.rand(50, 40, dtype=dtype, generator=torch.Generator().manual_seed(0))
    mask = straight_through(logits, uniform)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(mask.bool(), uniform > 1 - logits.sigmoid())
    (gradient,) = torch.autograd.grad(mask.sum(), logits)
    soft = (logits + torch.log(uniform) - torch.log1p(-uniform)).sigmoid()
    torch.testing.assert_close(gradient, soft * (1 - soft), rtol=1e-4, atol=1e-6)


def test_the_ends_of_the_uniform() -> None:
    mask = straight_through(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]))
    assert mask.tolist() == [[0, 1]]


def test_the_expected_l0_in_closed_form() -> None:
    logits = 2 * rows(1, 7)
    middles = (torch.arange(200_000, dtype=torch.float64).view(-1, 1) + 0.5) / 200_000
    open_share = straight_through(logits, middles.expand(-1, 7)).mean(0)
    torch.testing.assert_close(open_share, logits.sigmoid()[0], rtol=0, atol=1e-5)


def test_sparse_draws() -> None:
    latent = SparseLatent(DIM, LATENT, (8,)).double()
    x, y = rows(BATCH, DIM), rows(BATCH, DIM, seed=1)
    draw = latent(x, y, generator=torch.Generator().manual_seed(2))
    logits, values = latent.gates(x, y)
    uniform = torch.rand(BATCH, LATENT, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(draw.r, straight_through(logits, uniform) * values)
    torch.testing.assert_close(draw.penalty, logits.sigmoid())
    torch.testing.assert_close(draw.statistics["active_l0"], draw.r.ne(0).double().mean(0))


# all of them


def test_what_costs_nothing() -> None:
    x = rows(BATCH, DIM)
    given = rows(BATCH, LATENT)
    draw = GivenLatent(LATENT)(x, given)
    assert torch.equal(draw.r, given)
    assert draw.penalty.shape == (BATCH, 0)
    nothing = NoLatent()(x, x)
    assert nothing.r.shape == nothing.penalty.shape == (BATCH, 0)
    assert NoLatent().sample_prior(x, 4).shape == (4, BATCH, 0)


@pytest.mark.parametrize("latent", [SparseLatent(DIM, LATENT, (8,)), GivenLatent(LATENT)])
def test_no_prior(latent: Latent) -> None:
    with pytest.raises(LossError, match=f"{type(latent).__name__} has no prior"):
        latent.sample_prior(rows(BATCH, DIM), 2)


@pytest.mark.parametrize("kind", [GaussianLatent, SparseLatent])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_is_kept(kind: type[GaussianLatent] | type[SparseLatent], dtype: torch.dtype) -> None:
    draw = kind(DIM, LATENT, (8,)).to(dtype)(rows(BATCH, DIM, dtype=dtype), rows(BATCH, DIM, dtype=dtype))
    assert draw.r.dtype == draw.penalty.dtype == dtype


def test_float32_inside_bfloat16() -> None:
    """The networks run in bfloat16, what stands behind them does not: it rounds 1 − 1e-6 to 1, and loses small KLs."""
    x, y = rows(64, DIM, dtype=torch.float32), rows(64, DIM, dtype=torch.float32, seed=1)
    gaussian, sparse = GaussianLatent(DIM, LATENT, (8,)), SparseLatent(DIM, LATENT, (8,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert gaussian.prior_net(x).dtype == torch.bfloat16
        p, q = gaussian.prior(x), gaussian.posterior(x, y)
        draw = gaussian(x, y)
        gates, (logits, _) = sparse(x, y), sparse.gates(x, y)
    torch.testing.assert_close(draw.penalty, kl_divergence(q, p), rtol=0, atol=0)
    torch.testing.assert_close(gates.penalty, logits.sigmoid(), rtol=0, atol=0)
    assert draw.r.dtype == draw.penalty.dtype == gates.r.dtype == gates.penalty.dtype == torch.float32
    # a KL that bfloat16 could not tell from zero
    nn.init.zeros_(last(gaussian.prior_net).weight)
    nn.init.zeros_(last(gaussian.posterior_net).weight)
    nn.init.constant_(last(gaussian.posterior_net).bias[:LATENT], 1e-3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        kl = gaussian(x, y).penalty
    torch.testing.assert_close(kl, torch.full_like(kl, 1e-6 / 2 / math.log(2) ** 2), rtol=0.02, atol=0)


@pytest.mark.parametrize("kind", [GaussianLatent, SparseLatent])
def test_shapes(kind: type[GaussianLatent] | type[SparseLatent]) -> None:
    latent = kind(DIM, LATENT, (8,)).double()
    x = rows(BATCH, DIM)
    with pytest.raises(LossError, match=r"context has the shape \(5, 4\)"):
        latent(x[:, :4], x)
    with pytest.raises(LossError, match=r"posterior sees has the shape \(5, 4\)"):
        latent(x, x[:, :4])
    with pytest.raises(LossError, match="5 contexts and 4 targets"):
        latent(x, x[:4])
    with pytest.raises(LossError, match="int64"):
        latent(x.long(), x)
    with pytest.raises(LossError, match="batch has 1"):
        latent(x[:1], x[:1])
    with pytest.raises(LossError, match="widths"):
        kind(DIM, 0)
    with pytest.raises(LossError, match="latent_dim is 0"):
        GivenLatent(0)
    with pytest.raises(LossError, match=r"factors has the shape \(5, 6\)"):
        GivenLatent(LATENT)(x, x)
