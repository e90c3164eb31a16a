"""Our modules give the numbers of the authors' code (see adassl_frozen.py for how those were captured)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pal_plugin.losses.adassl import AdaSSL, BetaSchedule, LearnableScale, adassl_info_nce, mlp

DIM, HIDDEN, LATENT, SEED = 4, 5, 2, 3
BETA = 0.5
# of theirs → of ours
NAMES = {
    "latent_sampler.prior_net": "adassl.latent.prior_net",
    "latent_sampler.latent_predictor": "adassl.latent.posterior_net",
    "editor_As": "adassl.editor.A",
    "editor_Bs": "adassl.editor.B",
    "editor": "adassl.editor.net",
    "lambda_train": "scale.raw",
    "ssl_model.predictor": "predictor",
}
SETTINGS = {
    "v_mlp": {"variant": "v"},
    "v_linear": {"variant": "v", "editor": "linear"},
    "v_add": {"variant": "v", "editor": "add", "latent_dim": DIM, "latent_hidden_dims": (HIDDEN, HIDDEN)},
    "s": {"variant": "s"},
    "s_start": {"variant": "s"},
    "gt": {"variant": "gt"},
    "vanilla": {"variant": "vanilla"},
    "byol_v": {"variant": "v"},
    "byol_s": {"variant": "s"},
}
SIZES = {"latent_dim": LATENT, "latent_hidden_dims": (HIDDEN,), "editor_hidden_dims": (HIDDEN,)}
EXTRA_VIEW = ("v_mlp", "s_start", "byol_s")


@pytest.fixture(scope="module")
def frozen() -> dict[str, Tensor]:
    with np.load(Path(__file__).with_name("adassl_frozen.npz")) as file:
        shapes, numbers = json.loads(str(file["shapes"])), torch.from_numpy(file["numbers"])
    parts = numbers.split([int(np.prod(shape)) for shape in shapes.values()])
    return {key: part.reshape(shape) for (key, shape), part in zip(shapes.items(), parts, strict=True)}


def of(frozen: dict[str, Tensor], case: str, kind: str) -> dict[str, Tensor]:
    start = f"{case}/{kind}/"
    return {key.removeprefix(start): value for key, value in frozen.items() if key.startswith(start)}


def ours(name: str) -> str:
    theirs = max((theirs for theirs in NAMES if name == theirs or name.startswith(f"{theirs}.")), key=len)
    return NAMES[theirs] + name.removeprefix(theirs)


def loaded(case: str, weights: dict[str, Tensor]) -> nn.ModuleDict:
    """Our modules with the captured weights: nothing of ours is left over, nothing of theirs is left out."""
    modules = nn.ModuleDict({"adassl": AdaSSL(DIM, **(SIZES | SETTINGS[case]))})
    if case.startswith("byol"):
        modules["predictor"] = mlp([DIM, HIDDEN, DIM], output_bias=False)
    else:
        modules["scale"] = LearnableScale()
    modules.double()
    state = {ours(name): value for name, value in weights.items() if "target_" not in name}
    missing, unexpected = modules.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return modules


@pytest.mark.parametrize("case", SETTINGS)
def test_the_authors_numbers(case: str, frozen: dict[str, Tensor]) -> None:
    inputs = of(frozen, case, "input")
    modules = loaded(case, of(frozen, case, "weight"))
    leaves = {name: inputs[name].clone().requires_grad_() for name in ("x", "y", "x_aug", "y_aug")}
    x, y = leaves["x"], leaves["y"]
    seen = [inputs.get("target_x", x), inputs.get("target_y", y)]
    if case in EXTRA_VIEW:
        seen = [leaves["x_aug"], leaves["y_aug"]]
    if case == "gt":
        seen = [inputs["z_y2x"], inputs["z_x2y"]]

    torch.manual_seed(SEED)
    edited = modules["adassl"](x, y, *seen)
    if case.startswith("byol"):
        cosine = nn.CosineSimilarity(dim=1)
        loss = -cosine(modules["predictor"](edited.edited_x), inputs["target_x"]).mean()
        loss = loss - cosine(modules["predictor"](edited.edited_y), inputs["target_y"]).mean()
    else:
        learnable = case == "v_mlp"  # with a clamp that cuts logits off
        loss = adassl_info_nce(
            edited.edited_x,
            edited.edited_y,
            x,
            y,
            temperature=0.03 if learnable else 0.1,
            scale=modules["scale"]() if learnable else 1.0,
        )
    (loss + BETA * edited.penalty).backward()

    same(edited.edited_y, frozen[f"{case}/edited/y"])
    same(edited.edited_x, frozen[f"{case}/edited/x"])
    same(loss, frozen[f"{case}/loss/l_ssl"])
    same(BETA * edited.penalty, frozen.get(f"{case}/loss/l_reg", torch.zeros((), dtype=torch.float64)))
    ours_now = dict(modules.named_parameters()) | leaves
    expected = of(frozen, case, "grad")
    for name, gradient in expected.items():
        same(ours_now[name if name in leaves else ours(name)].grad, gradient)
    known = {name if name in leaves else ours(name) for name in expected}
    assert {name for name, leaf in ours_now.items() if leaf.grad is not None} == known
    state = modules.state_dict()
    for name, value in of(frozen, case, "after").items():
        same(state[ours(name)], value)


def test_the_clamp_of_the_case_cuts_off(frozen: dict[str, Tensor]) -> None:
    """Or the parity above would not show that it does what theirs does."""
    inputs = of(frozen, "v_mlp", "input")
    rows = [frozen["v_mlp/edited/x"], frozen["v_mlp/edited/y"], inputs["x"], inputs["y"]]
    free = adassl_info_nce(*rows, temperature=0.03, clamp=None)
    assert abs(free - frozen["v_mlp/loss/l_ssl"]) > 0.1


def test_the_authors_warm_up(frozen: dict[str, Tensor]) -> None:
    schedule = BetaSchedule(BETA, warmup_steps=7)
    expected = frozen["beta"].tolist()  # two calls a step
    assert [schedule.at(step) for step in range(10) for _ in (0, 1)] == pytest.approx(expected, rel=1e-12)


def same(ours_: Tensor | None, theirs: Tensor) -> None:
    assert ours_ is not None
    torch.testing.assert_close(ours_.detach(), theirs, rtol=1e-9, atol=1e-11)
