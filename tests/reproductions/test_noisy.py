"""AdaSSL on noisy pairs: names, settings, table and figure; the last figures of a log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from reproductions.adassl.noisy import config
from reproductions.adassl.noisy_cells import NOISES, PRIORS, Cell, grid
from reproductions.adassl.noisy_figure import draw
from reproductions.adassl.noisy_table import gaps, markdown, read, summarise
from reproductions.curves import last_logged


def made(cell: Cell, seed: int, knn: float, linear: float) -> dict[str, Any]:
    log = {} if cell.arm == "vanilla" else {"kl": 3.0, "loss_posterior": 1.0, "loss_prior": 2.0, "loss_shuffled": 4.0}
    return {
        "arm": cell.arm,
        "pairs": cell.pairs,
        "purity": 0.5,
        "augmentation": "flip_only",
        "steps": 160,
        "log": log,
        "seed": seed,
        "data": "cifar10",
        "images": {"train": 4096, "test": 10000},
        "metrics": {"knn": {"top1": knn}, "linear": {"top1": linear}},
        "untrained": {"knn": {"top1": 31.0 + seed}, "linear": {"top1": 29.0}},
        "hardware": "abacus",
        "commit": "abc",
    }


def written(folder: Path) -> dict[Cell, list[dict[str, Any]]]:
    for cell, seed, knn in [
        (Cell("v", 0.5), 0, 44.0),
        (Cell("v", 0.5), 1, 39.5),
        (Cell("vanilla", 0.5), 1, 40.0),
        (Cell("vanilla", 0.5), 0, 40.5),
        (Cell("vanilla", "hog"), 0, 35.0),
        (Cell("s", 0.0), 0, 50.0),
    ]:
        path = folder / f"{cell.name}-{seed}.json"
        path.write_text(json.dumps(made(cell, seed, knn, knn + 1)), encoding="utf-8")
    return read(folder)


def test_names_go_both_ways() -> None:
    assert len(set(grid())) == 3 * (len(NOISES) + len(PRIORS))
    for cell in grid():
        assert Cell.parse(cell.name) == cell
    assert Cell("vanilla", 0.25).name == "vanilla-0.25"
    assert Cell.parse("s-hog") == Cell("s", "hog")
    for wrong in ("simclr-0.25", "v-lite0", "v", "v-0.1"):
        with pytest.raises(ValueError):
            Cell.parse(wrong)


def test_arms_differ_in_the_latent_alone() -> None:
    base, dense, sparse = (config("cpu", Cell(arm, 0.5), 1) for arm in ("vanilla", "v", "s"))
    for other in (dense, sparse):
        # a run's folder is called after the second it was composed in
        assert {key for key in base if base[key] != other[key]} - {"run_dir"} == {"method_kwargs"}
        for key in ("proj_hidden_dim", "proj_output_dim", "temperature", "learnable_lambda", "logit_clamp"):
            assert base.method_kwargs[key] == other.method_kwargs[key]
    assert (dense.method_kwargs.variant, dense.method_kwargs.reg_beta, dense.method_kwargs.latent_dim) == ("v", 0.8, 8)
    assert (sparse.method_kwargs.variant, sparse.method_kwargs.reg_beta) == ("s", 0.5)
    assert (base.graph.builder, base.graph.noise, base.graph.draw) == ("hierarchy", 0.5, "weighted")
    neighbours = config("cpu", Cell("s", "hog"), 1).graph
    assert (neighbours.builder, neighbours.prior, neighbours.k) == ("knn", "hog", 4)


def test_a_gpu_trains_as_long_as_its_profile_says() -> None:
    cfg = config("paper", Cell("v", "pixels"), 0)
    assert (cfg.max_epochs, cfg.data.subset, cfg.optimizer.name, cfg.optimizer.lr) == (200, None, "adamw", 1e-4)
    assert cfg.method_kwargs.reg_beta_warmup_steps == 5000


def test_gaps_are_to_the_same_pairs_and_seed(tmp_path: Path) -> None:
    cells = written(tmp_path)
    assert gaps(cells, Cell("v", 0.5), "knn") == [3.5, -0.5]
    assert gaps(cells, Cell("s", 0.0), "knn") == []
    summary = summarise(cells)
    assert summary["v-0.5"]["linear"] == {"mean": 42.75, "std": 3.18, "seeds": 2, "gaps": [3.5, -0.5]}
    assert "gaps" not in summary["vanilla-0.5"]["knn"]


def test_table_and_figure_of_a_part_of_the_grid(tmp_path: Path) -> None:
    cells = written(tmp_path)
    text = markdown("cpu", cells)
    assert "| noise 0.5 | 0.500 | 40.25 ± 0.35 | 41.75 ± 3.18 | +3.50, -0.50 |  |  | 2 |" in text
    assert "| neighbours by hog | 0.500 | 35.00 |  |  |  |  | 1 |" in text
    assert "| untrained network |  | 31.50 ± 0.71 |  |  |  |  | 2 |" in text
    assert "| noise 0.5 | AdaSSL-V | 3.00 ± 0.00 |  | 1.00 ± 0.00 | 2.00 ± 0.00 | 4.00 ± 0.00 |" in text
    assert "160 steps; abacus; commit abc." in text
    for name, part in (("all", cells), ("one", {Cell("v", "hog"): [made(Cell("v", "hog"), 0, 30.0, 31.0)]})):
        draw(tmp_path / f"{name}.png", "cpu", part)
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.size == (1500, 600)


def test_the_last_figures_of_a_log_that_was_gone_on_with(tmp_path: Path) -> None:
    for part, rows in enumerate((["9,1.0,2.0,7,", "19,3.0,,,0.5"], ["29,4.0,,8,"])):
        folder = tmp_path / "csv" / f"version_{part}"
        folder.mkdir(parents=True)
        header = "step,adassl_kl_step,adassl_kl_dim0_step,other_step,adassl_beta_step"
        (folder / "metrics.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    assert last_logged(tmp_path, "adassl_") == {"kl": 4.0, "beta": 0.5}
