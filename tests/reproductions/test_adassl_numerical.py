"""AdaSSL's numerical experiment: pairs and readouts by hand and by brute force, runs, table and figure."""

from __future__ import annotations

import json
import math
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pal_plugin.errors import ConfigError
from reproductions.adassl import numerical, numerical_table
from reproductions.adassl.generator import BEST, CANDIDATES, CONTENT, FACTORS, World, factors, mixing_matrix
from reproductions.adassl.numerical_cells import BETAS, CLAMP, Cell, grid, result, table
from reproductions.adassl.numerical_figure import draw
from reproductions.adassl.numerical_runs import READINGS, at, gaps, ranked, read, values
from reproductions.adassl.numerical_table import load_claims, markdown, summarise
from reproductions.adassl.objectives import WARM_UP, Objective, objective
from reproductions.adassl.readouts import Sample, correlations, matched_correlations, ridge_r2


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# generator


def test_mixing_matrices_are_well_inverted() -> None:
    chosen, state = mixing_matrix(rng()), rng()
    drawn = 2 * torch.rand(CANDIDATES, FACTORS, FACTORS, generator=state) - 1
    conditions = sorted(np.linalg.cond((matrix / matrix.norm(dim=0)).double().numpy()) for matrix in drawn)
    torch.testing.assert_close(chosen.norm(dim=0), torch.ones(FACTORS))
    assert np.linalg.cond(chosen.double().numpy()) <= conditions[int(BEST * CANDIDATES)] * (1 + 1e-6)


def test_mixing_by_loops_and_back() -> None:
    world, z = World(3), factors(4, rng())
    first, second = (matrix.double() for matrix in world.mixing)
    for row, mixed in zip(z.double(), world.mix(z).double(), strict=True):
        hidden = torch.stack([sum(first[i, j] * row[j] for j in range(FACTORS)) for i in range(FACTORS)])  # type: ignore[misc]
        bent = torch.where(hidden > 0, hidden, 0.2 * hidden)
        torch.testing.assert_close(mixed, second @ bent, atol=1e-5, rtol=1e-5)
        inverse = torch.linalg.solve(second, mixed)
        back = torch.linalg.solve(first, torch.where(inverse > 0, inverse, inverse / 0.2))
        torch.testing.assert_close(back, row, atol=1e-4, rtol=1e-4)  # nothing of the factors is lost


def test_partners_have_the_moments_that_the_context_says() -> None:
    world, z = World(0), factors(1, rng())
    many = 40_000
    moved = (world.partners(z.expand(many, -1), rng(1)) - z).double()
    assert moved[:, :CONTENT].std(0).tolist() == pytest.approx([0.05] * CONTENT, rel=0.03)
    context = z[0, :CONTENT].tolist()
    for j in range(FACTORS - CONTENT):
        by_spread, by_size = (
            1 / (1 + math.exp(-2 * sum(context[i] * float(weights[i, j]) for i in range(CONTENT))))
            for weights in (world.to_spread, world.to_size)
        )
        jumps = moved[:, CONTENT + j][moved[:, CONTENT + j].abs() > 1e-6]
        assert len(jumps) / many == pytest.approx(0.5, abs=0.01)
        assert float((jumps > 0).double().mean()) == pytest.approx(0.5, abs=0.03)
        size, spread = 1 + by_size, 0.1 + 0.4 * by_spread
        assert float(jumps.square().mean()) == pytest.approx(size**2 + spread**2, rel=0.03)
        assert float(jumps[jumps > 0].mean()) == pytest.approx(size, abs=0.05 + spread / 50)


def test_a_world_is_a_function_of_its_seed() -> None:
    one, again, other = (World(seed).pairs(5, rng()) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.allclose(one.x, other.x)


def test_the_difference_is_that_of_the_factors() -> None:
    world = World(0)
    state = rng()
    z = factors(6, state)
    partners = world.partners(z, state)
    pairs = world.pairs(6, rng())
    torch.testing.assert_close(pairs.x, world.mix(z))
    torch.testing.assert_close(pairs.y, world.mix(partners))
    torch.testing.assert_close(pairs.difference, partners - z)


# readouts


def sample(count: int, dims: int, factors_: int, seed: int) -> Sample:
    generator = np.random.default_rng(seed)
    return Sample(generator.standard_normal((count, dims)), generator.standard_normal((count, factors_)))


def test_ridge_reads_what_is_linear_and_nothing_else() -> None:
    fit, test = sample(2000, 4, 2, 0), sample(500, 4, 2, 1)
    of = np.array([[1.0, -2.0], [0.5, 0.0], [0.0, 3.0], [0.0, 0.0]])
    fit, test = (part._replace(factors=np.c_[7 + part.embeddings @ of, part.factors]) for part in (fit, test))
    [scores] = ridge_r2(fit, [test])
    assert scores[:2] == pytest.approx(1, abs=1e-5)
    assert abs(scores[2:]).max() < 0.05
    tiny = [part._replace(embeddings=1e-3 * part.embeddings - 5) for part in (fit, test)]
    assert ridge_r2(tiny[0], tiny[1:])[0] == pytest.approx(scores, abs=1e-9)  # scale and offset do not matter


def test_matching_is_the_best_permutation() -> None:
    found = sample(50, 5, 3, 0)
    table_ = correlations(found)
    expected = np.abs(np.corrcoef(found.embeddings.T, found.factors.T)[:5, 5:])
    np.testing.assert_allclose(table_, expected)
    best = max(sum(table_[d, f] for f, d in enumerate(dims)) for dims in permutations(range(5), 3))
    assert matched_correlations(found, [found])[0].sum() == pytest.approx(best)


def test_dimensions_are_matched_where_the_readout_is_fitted() -> None:
    factors_ = np.random.default_rng(0).standard_normal((100, 3))
    fit = Sample(np.c_[np.ones(100), -2 * factors_[:, 2], factors_[:, 0], factors_[:, 1] + 4], factors_)
    swapped = Sample(fit.embeddings, factors_[:, [1, 0, 2]])
    assert matched_correlations(fit, [fit])[0] == pytest.approx(1)
    assert matched_correlations(fit, [swapped])[0][:2].max() < 0.5  # its own best match would be 1


# cells


def test_names_go_both_ways_and_the_grid_sweeps_what_can_bind() -> None:
    assert all(Cell.parse(cell.name) == cell for cell in grid())
    assert len({cell.name for cell in grid()}) == len(grid()) == 41
    assert Cell("v.3", 0.02, None).name == "v.3-0.02-none"
    assert Cell.parse("infonce-0.1-20") == Cell("infonce", 0.1, 20.0)
    assert {cell.temperature for cell in grid() if cell.clamp is None and cell.method == "v"} == {0.02}
    assert {cell.temperature for cell in grid() if cell.clamp is None and cell.method == "hinfonce"} == {
        0.02, 0.05, 0.1, 0.2,
    }  # fmt: skip


@pytest.mark.parametrize("cell", ["simclr-0.1-20", "v-0.1", "v-hot-20", "v-0.1-some"])
def test_an_unknown_cell(cell: str) -> None:
    with pytest.raises(ConfigError, match=rf"'{cell}'.*--cell METHOD"):
        numerical.main("debug", cell, 0)
    with pytest.raises(ConfigError, match="no profile 'huge'"):
        numerical.main("huge", "v-0.1-20", 0)


# objectives


def batch(count: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    state = rng(5)
    x, y = (torch.randn(count, 16, generator=state) for _ in range(2))
    return x, y, torch.randn(count, FACTORS, generator=state)


def made(name: str) -> Objective:
    torch.manual_seed(0)
    return objective(Cell.parse(name), 16, FACTORS, (32,))


def loss(name: str, *, step: int = 0, turned: float = 1.0) -> float:
    x, y, difference = batch()
    method = made(name)
    torch.manual_seed(1)  # of the draws of r
    return float(method(x, y, turned * difference, step).detach())


@pytest.mark.parametrize("temperature", [0.02, 0.1])
@pytest.mark.parametrize("clamp", ["20", "none"])
def test_baselines_begin_as_infonce(temperature: float, clamp: str) -> None:
    plain = loss(f"infonce-{temperature}-{clamp}")
    for method in ("aninfonce", "hinfonce"):
        assert loss(f"{method}-{temperature}-{clamp}") == pytest.approx(plain, rel=1e-5)
    x, y, difference = batch()
    charged = made(f"s-{temperature}-{clamp}")
    uncharged = charged.monitor(x, y, difference)
    assert uncharged["loss"] == pytest.approx(plain, rel=1e-5)  # its editor begins as the identity


def test_beta_warms_up_and_is_what_the_cell_says() -> None:
    ends = {name: loss(f"{name}-0.1-20", step=WARM_UP - 1) - loss(f"{name}-0.1-20", step=0) for name in ("v", "v.3")}
    assert ends["v.3"] == pytest.approx(3 * ends["v"], rel=1e-4)
    assert ends["v"] > 0
    assert loss("v-0.1-20", step=WARM_UP) == loss("v-0.1-20", step=10 * WARM_UP)
    assert loss("gt-0.1-20", step=WARM_UP) == loss("gt-0.1-20", step=0)  # what is given costs nothing


def test_only_the_oracle_sees_the_difference_and_its_sign() -> None:
    for method in BETAS:
        same = loss(f"{method}-0.1-20") == loss(f"{method}-0.1-20", turned=-1.0)
        assert same == (method != "gt")


# runs


def test_a_run_is_a_function_of_its_seed_and_methods_begin_alike() -> None:
    world = World(0)
    names = ("infonce-0.1-20", "v-0.1-20")
    cells = [Cell.parse(name) for name in names]
    first, again = (numerical.train(world, cells[1], 0, 3) for _ in range(2))
    assert first[2] == again[2]
    weights = [numerical.train(world, cell, 0, 0)[0].state_dict() for cell in cells]
    before = numerical.make_encoder(0).state_dict()
    for of_cell in weights:
        assert all(torch.equal(of_cell[key], before[key]) for key in before)
    moved = first[0].state_dict()
    assert not any(torch.equal(moved[key], before[key]) for key in before)


def test_reading_does_not_depend_on_what_was_drawn_before() -> None:
    world, encoder = World(0), numerical.make_encoder(0)
    one = numerical.read(world, encoder, 0)
    torch.randn(3)
    assert numerical.read(world, encoder, 0) == one
    assert set(one) == {"in", "out"}
    assert one["out"]["content"] < one["in"]["content"]


def test_an_encoder_that_undoes_the_mixing_reads_everything() -> None:
    world = World(0)

    class Undo(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            first, second = world.mixing
            bent = torch.linalg.solve(second, x.T)
            return torch.linalg.solve(first, torch.where(bent > 0, bent, bent / 0.2)).T

    for scores in numerical.read(world, Undo(), 0).values():
        assert scores == {"content": 1.0, "style": 1.0, "mcc": 1.0}


@pytest.mark.slow
def test_more_content_by_a_latent_than_without() -> None:
    """AdaSSL-V against InfoNCE at τ .1, with the steps of profile smoke; of other settings nothing is claimed."""
    world = World(0)
    content = {}
    for method in ("infonce", "v"):
        encoder, _, _ = numerical.train(world, Cell(method, 0.1, CLAMP), 0, numerical.STEPS["smoke"])
        content[method] = numerical.read(world, encoder, 0)["in"]["content"]
    assert content["v"] > content["infonce"] + 0.05


# table and figure

V, INFONCE, GT = Cell("v", 0.1, CLAMP), Cell("infonce", 0.1, CLAMP), Cell("gt", 0.1, CLAMP)
FREE = Cell("hinfonce", 0.1, None)


def run(cell: Cell, seed: int, content: float, style: float) -> dict[str, Any]:
    scores = {"content": content, "style": style, "mcc": 0.4}
    used = {"loss": 1.0, "loss_prior": 2.0, "loss_shuffled": 3.0, "kl": 2.5} if cell.method == "v" else {"loss": 0.5}
    return {
        "seed": seed,
        "steps": 3000,
        "hardware": "a machine",
        "commit": "abc",
        "metrics": {"in": scores, "out": {**scores, "content": content - 0.2}},
        "untrained": {where: {"content": 0.5 + seed / 10, "style": 0.4, "mcc": 0.3} for where in ("in", "out")},
        "monitor": used,
    }


def written(folder: Path) -> dict[Cell, list[dict[str, Any]]]:
    scores = {
        V: [(0.8, 0.3), (0.9, 0.2)],
        INFONCE: [(0.5, 0.1), (0.4, 0.1), (0.5, 0.1)],
        GT: [(0.95, 0.9)],
        FREE: [(0.99, 0.8)],
    }
    for cell, of_cell in scores.items():
        for seed, pair in enumerate(of_cell):
            (folder / f"{cell.name}-{seed}.json").write_text(json.dumps(run(cell, seed, *pair)))
    return read(folder)


def test_runs_are_read_in_order(tmp_path: Path) -> None:
    cells = written(tmp_path)
    assert list(cells) == [INFONCE, FREE, V, GT]
    assert values(cells[V], "content") == [0.8, 0.9]
    assert values(cells[V], "content_out") == pytest.approx([0.6, 0.7])
    assert gaps(cells, V, INFONCE, "content") == {0: 0.3, 1: 0.5}  # seeds that both have
    assert gaps(cells, V, Cell("s", 0.1, CLAMP), "content") == {}


def test_a_clamp_that_cannot_bind_is_none(tmp_path: Path) -> None:
    cells = written(tmp_path)
    assert at(cells, "v", 0.1, None) == cells[V]
    assert at(cells, "hinfonce", 0.1, None) == cells[FREE]
    assert at(cells, "hinfonce", 0.1, CLAMP) == []
    assert [method for method, _ in ranked(cells, 0.1, CLAMP, "content")] == ["v", "infonce"]  # gt is told too much
    assert [method for method, _ in ranked(cells, 0.1, None, "content")] == ["hinfonce", "v", "infonce"]


def test_summary_and_table(tmp_path: Path) -> None:
    cells = written(tmp_path)
    summary = summarise(cells, load_claims())
    assert summary["cells"]["v-0.1-20"]["content"] == {"mean": 0.85, "std": 0.07, "seeds": 2}
    assert set(summary["cells"]["v-0.1-20"]) == set(READINGS)
    assert summary["least_gap"]["v_over_infonce"] == 0.3
    assert "v_over_hinfonce" not in summary["least_gap"]
    text = markdown("smoke", cells, load_claims())
    out = "0.65 ± 0.07 | 0.25 ± 0.07 | 0.40 ± 0.00 | 2 |"
    assert f"| AdaSSL-V, β .1 | 0.1 | ±20 | 0.85 ± 0.07 | 0.25 ± 0.07 | 0.40 ± 0.00 | {out}" in text
    assert "| untrained encoder |  |  | 0.60 ± 0.10 | 0.40 ± 0.00 | 0.30 ± 0.00 |" in text
    assert "| 0.1 | ±20 | AdaSSL-V, β .1 (0.85), then InfoNCE (0.47) |" in text
    assert "| 0.1 | none | H-InfoNCE (0.99), then AdaSSL-V, β .1 (0.85) |" in text
    assert "| ours, of an earlier run | +0.30, +0.50 | 2 of 2 |" in text
    assert "| AdaSSL-V, β .1 | 0.1 | ±20 | 2.50 ± 0.00 |  | 1.00 ± 0.00 | 2.00 ± 0.00 | 3.00 ± 0.00 |" in text
    assert "| true difference | 0.1 | ±20 | 0.95 | .84 .79 .82 | 0.90 | .75 .79 .92 |" in text
    assert "| AdaSSL-S, β .1 | 0.1 | ±20 | not run | above .90 |" in text


def test_the_figure_of_some_cells_and_of_one(tmp_path: Path) -> None:
    cells = written(tmp_path)
    for shown in (cells, {GT: cells[GT]}):
        draw(tmp_path / "figure.png", "smoke", shown)
        with Image.open(tmp_path / "figure.png") as drawn:
            drawn.load()
            assert min(drawn.size) > 400


def test_claims_name_cells_of_the_grid_and_where_they_are_from() -> None:
    claims, names = load_claims(), {cell.name for cell in grid()}
    assert all(claim["provenance"] and claim["text"] for of_kind in claims.values() for claim in of_kind)
    assert {claim[side] for claim in claims["orders"] for side in ("ahead", "behind")} <= names
    assert {name for claim in claims["numbers"] for name in claim["cells"]} <= names
    assert {claim["reading"] for claim in claims["orders"]} <= set(READINGS)


def test_from_run_to_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    try:
        for cell in (V, INFONCE):
            numerical.main("debug", cell.name, 1)
    finally:
        torch.set_num_threads(threads)
    content = json.loads(result("debug", V, 1).read_text(encoding="utf-8"))
    assert (content["method"], content["temperature"], content["clamp"], content["beta"]) == ("v", 0.1, 20.0, 0.1)
    assert set(content) >= {"paper", "profile", "seed", "wall_s", "hardware", "versions", "commit", "command"}
    assert set(content["monitor"]) == {
        "loss", "loss_prior", "loss_shuffled", "kl", "prior_std", "posterior_std",
    }  # fmt: skip
    numerical_table.main("debug")
    for suffix in (".md", ".json", ".png"):
        assert table("debug", suffix).stat().st_size > 500
