"""Editors, and AdaSSL as a whole: what a host's method gets of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pal_plugin.errors import LossError
from pal_plugin.losses.adassl import (
    AdaSSL,
    IdentityEditor,
    MLPEditor,
    SparseEditor,
    adassl_info_nce,
    log_values,
    loss_by_source,
    make_editor,
)

DIM, LATENT, BATCH = 6, 3, 5
SMALL: dict[str, Any] = {"latent_hidden_dims": (8,), "editor_hidden_dims": (8,)}
EDITORS = [("v", "mlp", LATENT), ("v", "linear", LATENT), ("v", "add", DIM), ("v", "sparse", LATENT)]
ALL = [*EDITORS, ("s", None, LATENT), ("gt", None, LATENT), ("vanilla", None, LATENT)]


def rows(dim: int = DIM, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(BATCH, dim, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def pair() -> tuple[Tensor, Tensor]:
    return rows(seed=0).requires_grad_(), rows(seed=1).requires_grad_()


def seen_by(variant: str) -> tuple[Tensor, Tensor]:
    dim = LATENT if variant == "gt" else DIM
    return rows(dim, seed=2), rows(dim, seed=3)


def built(variant: str, editor: str | None = None, latent_dim: int = LATENT) -> AdaSSL:
    torch.manual_seed(0)
    return AdaSSL(DIM, variant, latent_dim, editor=editor, **SMALL).double()


# editors


def test_the_sparse_editor_by_loops() -> None:
    torch.manual_seed(0)
    editor = SparseEditor(DIM, LATENT).double()
    nn.init.normal_(editor.B.weight)
    x, r = rows(), rows(LATENT, seed=1)
    expected = x.clone()
    for b in range(BATCH):
        for j in range(LATENT):
            switched = torch.tanh(r[b, j]) * (editor.A.weight[j] @ x[b] + editor.A.bias[j])
            expected[b] += switched * editor.B.weight[:, j]
    torch.testing.assert_close(editor(x, r), expected)


def test_the_others() -> None:
    x, r = rows(), rows(seed=1)
    assert torch.equal(make_editor("add", DIM, DIM)(x, r), x + r)
    assert make_editor("identity", DIM, 0)(x, r) is x
    linear = make_editor("linear", DIM, DIM).double()
    (weight,) = linear.parameters()
    torch.testing.assert_close(linear(x, r), x @ weight[:, :DIM].T + r @ weight[:, DIM:].T)
    last = MLPEditor(DIM, LATENT, (8,)).net[-1]
    assert last.bias is None


def test_editors_that_do_not_fit() -> None:
    with pytest.raises(LossError, match=r"embeddings' size 6, and latent_dim is 3.*latent_dim=6"):
        make_editor("add", DIM, LATENT)
    with pytest.raises(LossError, match="latent_dim=6"):
        AdaSSL(DIM, "v", LATENT, editor="add")
    with pytest.raises(LossError, match="no hidden widths"):
        make_editor("mlp", DIM, LATENT)
    with pytest.raises(LossError, match=r"'lora'.*mlp, linear, add, sparse, identity"):
        make_editor("lora", DIM, LATENT)


# the whole


@pytest.mark.parametrize(("variant", "editor", "latent_dim"), ALL)
def test_both_directions(variant: str, editor: str | None, latent_dim: int) -> None:
    module, (x, y), (seen_x, seen_y) = built(variant, editor, latent_dim).eval(), pair(), seen_by(variant)
    edited = module(x, y, seen_x, seen_y, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    edited_y, to_y = module.edit(x, seen_y, generator=generator)
    edited_x, to_x = module.edit(y, seen_x, generator=generator)
    torch.testing.assert_close(edited.edited_x, edited_x)
    torch.testing.assert_close(edited.edited_y, edited_y)
    mean = torch.cat([to_x.penalty, to_y.penalty]).sum(1).mean() if to_x.penalty.numel() else torch.zeros(()).double()
    torch.testing.assert_close(edited.penalty, mean)
    torch.testing.assert_close(edited.per_dimension.sum(), mean)


@pytest.mark.parametrize(("variant", "editor", "latent_dim"), ALL)
def test_every_parameter_learns(variant: str, editor: str | None, latent_dim: int) -> None:
    """Within two steps: in the first one of the sparse variant B, which starts at zero, keeps r's values from it."""
    module, (x, y) = built(variant, editor, latent_dim), pair()
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    assert bool(before) == (variant != "vanilla")
    optimiser = torch.optim.SGD([*module.parameters(), x], lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        edited = module(x, y, *seen_by(variant))
        (adassl_info_nce(edited.edited_x, edited.edited_y, x, y) + edited.penalty).backward()
        optimiser.step()
    assert all((value != before[name]).any() for name, value in module.named_parameters())


def test_vanilla_edits_nothing() -> None:
    module, (x, y) = built("vanilla"), pair()
    edited = module(x, y, x, y)
    assert isinstance(module.editor, IdentityEditor)
    assert edited.edited_x is y
    assert edited.edited_y is x
    assert edited.penalty == 0
    assert edited.per_dimension.shape == (0,)
    assert not edited.diagnostics


def test_the_sparse_variant_starts_as_vanilla() -> None:
    """Exactly: its loss, what the embeddings learn, and no gradient of it to A and to what draws r."""
    module, (x, y) = built("s"), pair()
    edited = module(x, y, *seen_by("s"))
    assert torch.equal(edited.edited_x, y)
    loss = adassl_info_nce(edited.edited_x, edited.edited_y, x, y)
    control = adassl_info_nce(y, x, x, y)
    assert torch.equal(loss, control)
    to_embeddings = torch.autograd.grad(loss, [x, y], retain_graph=True)
    for ours, theirs in zip(to_embeddings, torch.autograd.grad(control, [x, y]), strict=True):
        assert torch.equal(ours, theirs)
    assert isinstance(module.editor, SparseEditor)
    loss.backward(retain_graph=True)
    assert module.editor.B.weight.grad.ne(0).any()
    heads = [*module.latent.parameters(), *module.editor.A.parameters()]
    assert all(parameter.grad.eq(0).all() for parameter in heads)
    edited.penalty.backward()
    assert all(parameter.grad.ne(0).any() for parameter in module.latent.parameters())


@pytest.mark.parametrize(("variant", "name"), [("v", "posterior_net"), ("v", "prior_net"), ("s", "posterior_net")])
def test_a_penalty_that_is_no_number(variant: str, name: str) -> None:
    module = built(variant)
    last = getattr(module.latent, name)[-1]
    nn.init.constant_(last.bias[1:2], torch.nan)
    with pytest.raises(LossError, match=r"latent r is not finite in dimension 1: nan\."):
        module(*pair(), *seen_by(variant))


def test_what_does_not_fit() -> None:
    with pytest.raises(LossError, match=r"no variant 'x'.*v, s, gt, vanilla"):
        AdaSSL(DIM, "x")
    with pytest.raises(LossError, match="latent_dim 0"):
        AdaSSL(DIM, "v", 0)
    x, y = pair()
    with pytest.raises(LossError, match="batch has 1"):
        built("v")(x[:1], y[:1], x[:1], y[:1])
    with pytest.raises(LossError, match=r"context has the shape \(5, 3\)"):
        built("vanilla")(x[:, :3], y, x, y)
    with pytest.raises(LossError, match=r"factors has the shape \(5, 6\)"):
        built("gt")(x, y, x, y)
    with pytest.raises(LossError, match="5 embeddings x and 4 embeddings y"):
        built("v")(x, y[:4], x[:4], y)


def test_bfloat16() -> None:
    """Half-precision embeddings, as a projector's under autocast are: the penalty is in full precision all the same."""
    for variant, editor, latent_dim in ALL:
        module = built(variant, editor, latent_dim).float()
        x, y = (z.detach().bfloat16() for z in pair())
        seen = [z.float() for z in seen_by(variant)]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            edited = module(x, y, *seen)
            loss = adassl_info_nce(edited.edited_x, edited.edited_y, x, y)
        assert loss.dtype == torch.float32
        if variant != "vanilla":
            assert edited.per_dimension.dtype == torch.float32


# what the log gets


@pytest.mark.parametrize("variant", ["v", "s"])
def test_diagnostics(variant: str) -> None:
    edited = built(variant)(*pair(), *seen_by(variant))
    values = edited.diagnostics
    assert all(value.shape == () and not value.requires_grad for value in values.values())
    if variant == "v":
        torch.testing.assert_close(values["kl"], edited.penalty.detach())
        dims = torch.stack([values[f"kl_dim{j}"] for j in range(LATENT)])
        torch.testing.assert_close(dims, edited.per_dimension.detach())
        assert {"prior_std", "posterior_std", "active_dims"} < set(values)
    else:
        torch.testing.assert_close(values["expected_l0"], edited.penalty.detach())
        dims = torch.stack([values[f"active_l0_dim{j}"] for j in range(LATENT)])
        torch.testing.assert_close(values["active_l0"], dims.sum())


def test_a_dimension_below_a_hundredth_nat_is_not_active() -> None:
    assert log_values({"kl": torch.tensor([0.5, 0.009, 0.01])})["active_dims"] == 2


def test_a_latent_that_is_used_and_one_that_is_not() -> None:
    """Given r = y − x and the additive editor, the posterior is exact; a pair's r is of no use to another."""
    module = AdaSSL(DIM, "gt", DIM, editor="add").double()
    x, y = rows(seed=0), rows(seed=1)

    def loss(edited_x: Tensor, edited_y: Tensor) -> Tensor:
        return (edited_x - x).square().sum() + (edited_y - y).square().sum()

    by_source = loss_by_source(module, x, y, x - y, y - x, loss)
    assert set(by_source) == {"posterior", "shuffled"}
    assert by_source["posterior"] < 1e-20
    expected = 2 * ((x - y) - (x - y).roll(1, 0)).square().sum()
    torch.testing.assert_close(by_source["shuffled"], expected)
    unused = loss_by_source(AdaSSL(DIM, "vanilla"), x, y, x, y, loss)
    assert set(unused) == {"posterior", "prior", "shuffled"}
    assert unused["posterior"] == unused["prior"] == unused["shuffled"]


def test_a_latent_that_has_collapsed_onto_the_prior() -> None:
    """Its KL is zero, and prior and posterior cost the same; another pair's r does harm all the same."""
    module = AdaSSL(DIM, "v", DIM, editor="add", latent_hidden_dims=()).double()
    prior, posterior = module.latent.prior_net[0], module.latent.posterior_net[0]
    with torch.no_grad():
        posterior.weight.zero_()
        posterior.weight[:, :DIM] = prior.weight  # it does not look at the target
        for net in (prior, posterior):
            net.weight[DIM:] = 0
            net.bias[DIM:] = -30  # nearly a point
        x, y = rows(seed=0), rows(seed=1)
        to_x, to_y = y + module.latent.prior(y).mean, x + module.latent.prior(x).mean
    assert module(x, y, x, y).penalty == 0

    def loss(edited_x: Tensor, edited_y: Tensor) -> Tensor:
        return (edited_x - to_x).square().sum() + (edited_y - to_y).square().sum()

    by_source = loss_by_source(module, x, y, x, y, loss)
    assert by_source["posterior"] < 0.02
    assert by_source["prior"] < 0.02
    assert by_source["shuffled"] > 1


def test_no_more_than_five_dimensions_are_named() -> None:
    module = AdaSSL(DIM, "v", 40, **SMALL)
    nn.init.constant_(module.latent.prior_net[-1].bias, torch.nan)
    x = rows(dtype=torch.float32)
    with pytest.raises(LossError, match=r"dimension 0: nan, 1: nan, .*4: nan and 35 more of 40\. Lower"):
        module(x, x, x, x)


def test_looking_changes_nothing() -> None:
    module, (x, y), seen = built("v"), pair(), seen_by("v")
    module.editor.eval()  # a part that its user keeps so
    state = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = (
        loss_by_source(module, x, y, *seen, lambda edited_x, edited_y: edited_x.sum() + edited_y.sum())
        for _ in range(2)
    )
    assert torch.equal(torch.rand(3), expected)
    assert first == second
    assert len({float(value) for value in first.values()}) == 3
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
