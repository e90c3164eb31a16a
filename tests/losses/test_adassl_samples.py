"""Targets drawn from the prior, retrieval with them, and walks along one dimension of r."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pal_plugin.errors import LossError
from pal_plugin.losses.adassl import AdaSSL, GaussianLatent, retrieve, sample_targets, traverse

DIM, LATENT, BATCH = 4, 2, 3


def rows(count: int = BATCH, seed: int = 0) -> Tensor:
    return torch.randn(count, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def variational(editor: str, latent_dim: int = LATENT) -> AdaSSL:
    torch.manual_seed(0)
    module = AdaSSL(DIM, "v", latent_dim, editor=editor, latent_hidden_dims=(8,), editor_hidden_dims=(8,)).double()
    for _ in range(3):  # running statistics that are not those of the start
        module(rows(16, 1), rows(16, 2), rows(16, 3), rows(16, 4))
    return module


def test_drawn_targets_are_the_priors() -> None:
    module, x = variational("add", DIM), rows()
    drawn = sample_targets(module, x, 40_000, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (40_000, BATCH, DIM)
    assert isinstance(module.latent, GaussianLatent)
    prior = module.eval().latent.prior(x)
    torch.testing.assert_close(drawn.mean(0), x + prior.mean, rtol=0, atol=0.06)
    torch.testing.assert_close(drawn.std(0), prior.std, rtol=0.02, atol=0)


@pytest.mark.parametrize("editor", ["mlp", "linear", "sparse"])
def test_each_draw_is_an_edit(editor: str) -> None:
    module, x = variational(editor), rows()
    drawn = sample_targets(module, x, 5, generator=torch.Generator().manual_seed(0))
    r = module.eval().latent.sample_prior(x, 5, generator=torch.Generator().manual_seed(0))
    for targets, of_draw in zip(drawn, r, strict=True):
        torch.testing.assert_close(targets, module.editor(x, of_draw))


def test_drawing_changes_nothing() -> None:
    module = variational("mlp")
    state = {name: value.clone() for name, value in module.state_dict().items()}
    drawn = sample_targets(module, rows(), 2)
    assert not drawn.requires_grad
    assert all(part.training for part in module.modules())
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert sample_targets(module, rows(1), 2).shape == (2, 1, DIM)  # one context is enough


def test_variants_without_a_prior() -> None:
    x = rows()
    assert torch.equal(sample_targets(AdaSSL(DIM, "vanilla"), x, 2), torch.stack([x, x]))
    for variant in ("s", "gt"):
        module = AdaSSL(DIM, variant, LATENT)
        with pytest.raises(LossError, match="has no prior"):
            sample_targets(module, x, 2)
        assert module.training
        with pytest.raises(LossError, match=f"{variant} has no prior"):
            traverse(module, x, 0, torch.zeros(1))


def test_bad_draws() -> None:
    with pytest.raises(LossError, match="n is 0"):
        sample_targets(variational("mlp"), rows(), 0)
    with pytest.raises(LossError, match=r"\(3, 3\)"):
        sample_targets(variational("mlp"), rows()[:, :3], 1)


def test_retrieval_by_loops() -> None:
    drawn, bank = torch.stack([rows(seed=s) for s in range(5)]), rows(7, seed=9)
    found = retrieve(drawn, bank, 3, temperature=0.3)
    for b in range(BATCH):
        scores = [
            math.log(sum(math.exp(F.cosine_similarity(draw[b], row, dim=0) / 0.3) for draw in drawn) / 5)
            for row in bank
        ]
        order = sorted(range(7), key=lambda row: -scores[row])[:3]
        assert found.rows[b].tolist() == order
        assert found.score[b].tolist() == pytest.approx([scores[row] for row in order])


def test_retrieval_finds_every_mode() -> None:
    """Two kinds of targets for a context: the mean of both is a third thing, and is not what comes back."""
    modes = torch.eye(DIM, dtype=torch.float64)[:2]
    drawn = modes.repeat(4, 1).unsqueeze(1)
    bank = torch.cat([F.normalize(modes.sum(0), dim=0)[None], modes])
    assert set(retrieve(drawn, bank, 2, temperature=0.05).rows[0].tolist()) == {1, 2}


def test_bad_retrieval() -> None:
    drawn, bank = rows()[None], rows(7)
    for k in (0, 8):
        with pytest.raises(LossError, match=f"k is {k}"):
            retrieve(drawn, bank, k)
    with pytest.raises(LossError, match=r"\(3, 4\)"):
        retrieve(rows(), bank, 1)
    with pytest.raises(LossError, match="bank"):
        retrieve(drawn, bank[:, :2], 1)
    with pytest.raises(LossError, match="temperature"):
        retrieve(drawn, bank, 1, temperature=0)


def test_a_walk_along_r() -> None:
    module, x = variational("linear"), rows()
    walk = traverse(module, x, 1, torch.tensor([-2.0, 0.0, 2.0]))
    assert walk.shape == (3, BATCH, DIM)
    assert isinstance(module.latent, GaussianLatent)
    prior = module.eval().latent.prior(x)
    torch.testing.assert_close(walk[1], module.editor(x, prior.mean))
    (weight,) = module.editor.parameters()
    step = 2 * prior.std[:, 1:2] * weight[:, DIM + 1]
    torch.testing.assert_close(walk[2] - walk[1], step)
    torch.testing.assert_close(walk[0] - walk[1], -step)
    with pytest.raises(LossError, match="no dimension 2"):
        traverse(module, x, LATENT, torch.zeros(1))
