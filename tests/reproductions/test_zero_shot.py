"""Zero-shot active learning: names, sizes, what is read of the runs, table and figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from pal_plugin.errors import ConfigError
from pal_plugin.selection import make_selector
from reproductions.zero_shot_al.figure import STYLES, draw
from reproductions.zero_shot_al.names import ARMS, CORESET, UNGUIDED, Cell
from reproductions.zero_shot_al.runs import budgets, gaps, read, values
from reproductions.zero_shot_al.settings import SIZES, sizes_of
from reproductions.zero_shot_al.table import CLAIMS, markdown, summarise

RANDOM, KCENTER, TYPICAL = (Cell.parse(name) for name in ("none.random", "f-0.kcenter", "f-0.typiclust"))


def made(cell: Cell, seed: int, top1: dict[int, float]) -> dict[str, Any]:
    def at(budget: int, score: float) -> dict[str, Any]:
        return {"top1": score, "kl_to_uniform": 0.1, "select_s": 0.5, "steps": 400 + budget, "train_s": 3.0}

    return {
        "arm": cell.arm,
        "features": cell.features,
        "network": "wrn-16-1",
        "augmentation": "crop",
        "seed": seed,
        "data": "cifar10",
        "images": {"pool": 4096, "test": 10000},
        "metrics": {f"b{budget}": at(budget, score) for budget, score in top1.items()},
        "hardware": "abacus",
        "commit": "abc",
    }


@pytest.fixture
def cells(tmp_path: Path) -> dict[Cell, list[dict[str, Any]]]:
    for cell, seed, top1 in [
        (KCENTER, 1, {250: 31.0, 1000: 45.0}),
        (KCENTER, 0, {250: 30.0, 1000: 44.0}),
        (RANDOM, 0, {250: 32.0, 1000: 43.0}),
        (RANDOM, 2, {250: 20.0}),
        (TYPICAL, 0, {250: 36.5, 1000: 43.5}),
    ]:
        path = tmp_path / f"{cell.name}-{seed}.json"
        path.write_text(json.dumps(made(cell, seed, top1)), encoding="utf-8")
    return read(tmp_path)


def test_names_go_both_ways() -> None:
    for arm in ARMS:
        cell = Cell("none" if arm in UNGUIDED else "simclr-strong-baseline-0", arm)
        assert Cell.parse(cell.name) == cell
    for wrong in ("kcenter", "none.kcenter", "lite0.random", "lite0.kcentre"):
        with pytest.raises(ValueError, match="is no cell"):
            Cell.parse(wrong)


def test_every_arm_is_a_selector_and_has_a_style() -> None:
    assert STYLES.keys() == ARMS.keys()
    assert len(set(STYLES.values())) == len(STYLES)
    for name, arm in ARMS.items():
        selector = make_selector(arm.selector, **arm.parameters, **({"seed": 3} if arm.seeded else {}))
        assert ("refit" in selector.get_params()) == (name == CORESET)


def test_every_budget_of_a_short_profile_takes_about_as_many_steps() -> None:
    for name in ("smoke", "cpu"):
        sizes = SIZES[name]
        for budget in sizes.budgets:
            how = sizes.protocol(budget)
            steps = how.epochs * -(-budget // how.batch_size)
            assert sizes.steps * 0.9 <= steps <= sizes.steps * 1.1
    paper = SIZES["paper"]
    assert paper.budgets == (1000, 5000, 10_000, 20_000, 30_000)
    assert all(paper.protocol(budget).epochs == 200 for budget in paper.budgets)
    assert paper.trainer.network == "wrn-28-10"


def test_runs_are_read_in_order(cells) -> None:
    assert list(cells) == [RANDOM, KCENTER, TYPICAL]
    assert [run["seed"] for run in cells[KCENTER]] == [0, 1]
    assert budgets(cells) == [250, 1000]
    assert values(cells[RANDOM], 1000, "top1") == [43.0]
    assert gaps(cells[KCENTER], cells[RANDOM], 250) == {0: -2.0}  # the one seed that both have


def test_summary_and_table(cells, tmp_path) -> None:
    found = summarise(cells)["f-0.kcenter"]["b250"]
    assert found == {"mean": 30.5, "std": 0.71, "seeds": 2, "gaps_to_random": [-2.0], "kl_to_uniform": 0.1}
    assert "gaps_to_random" not in summarise(cells)["none.random"]["b250"]
    features = [{"features": "f-0", "dimensions": 512, "purity": 0.25}]
    text = markdown("smoke", cells, features, yaml.safe_load(CLAIMS.read_text(encoding="utf-8")))
    assert "|  | random | 26.00 ± 8.49 |  | 43.00 |  | 2 |" in text
    assert "| f-0 | k-centre | 30.50 ± 0.71 | -2.00 | 44.50 ± 0.71 | +1.00 | 2 |" in text
    assert "| f-0 | TypiClust | 36.50 | +4.50 | 43.50 | +0.50 | 1 |" in text
    ahead = next(line for line in text.splitlines() if line.startswith("| TypiClust is ahead of k-centre"))
    assert ahead.endswith("| f-0 | +6.50 | -0.50 |")
    assert "Core-Set, retrained every round, is ahead" not in text  # it was not run
    assert "not available" in text
    assert "| f-0 | 512 | 0.250 |" in text
    draw(tmp_path / "figure.png", "smoke", cells)
    assert Image.open(tmp_path / "figure.png").size[0] > 1000


def test_another_profile_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no profile 'huge' of this paper.*--profile"):
        sizes_of("huge")
