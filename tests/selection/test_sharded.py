"""Two real gloo processes pick what one process does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pal_plugin.errors import ConfigError
from pal_plugin.selection import KCenterGreedy

SCRIPT = Path(__file__).with_name("shard_process.py")


def _data() -> dict[str, Any]:
    random = np.random.default_rng(0)
    features = random.normal(size=(900, 32)).astype(np.float32)
    features[600:] *= 0.1  # what is far lies on one rank
    twice = np.repeat(random.normal(size=(60, 8)), 4, axis=0)[random.permutation(240)]
    huge = random.normal(size=(80, 8))
    huge[70:] *= 1e30  # only one rank would choose another scale
    bad = features[:50].copy()
    bad[45, 3] = np.nan
    zero = features[:50].copy()
    zero[45] = 0
    return {"features": features, "twice": twice, "huge": huge, "bad": bad, "zero": zero}


CASES: dict[str, dict[str, Any]] = {
    "medoid": {"data": "features", "split": 500, "budget": 300, "parameters": {}},
    "uneven": {"data": "features", "split": 20, "budget": 120, "parameters": {"start": 850}},
    "random": {"data": "features", "split": 450, "budget": 40, "parameters": {"start": "random", "seed": 3}},
    "farthest": {"data": "features", "split": 700, "budget": 40, "parameters": {"start": "farthest"}},
    "cosine": {"data": "features", "split": 450, "budget": 90, "parameters": {"metric": "cosine", "start": 1}},
    "labelled": {"data": "features", "split": 450, "budget": 0.1, "parameters": {}, "labelled": [800, 3, 449]},
    "copies, all of them": {"data": "twice", "split": 100, "budget": 240, "parameters": {}},
    "two scales": {"data": "huge", "split": 60, "budget": 80, "parameters": {}},
    "none": {"data": "features", "split": 450, "budget": 0, "parameters": {}},
}
OTHER = {"name": "b", "split": "test", "size": 900, "digest": "x"}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nan": ({"data": "bad", "split": 40, "budget": 3, "parameters": {}}, "On rank 1: Row 5 of the features"),
    "zero": ({"data": "zero", "split": 40, "budget": 3, "parameters": {"metric": "cosine"}}, "no direction"),
    "budget": ({"data": "features", "split": 450, "budget": 901, "parameters": {}}, "between 0 and the 900"),
    "no start": ({"data": "features", "split": 450, "budget": 9, "parameters": {"start": None}}, "no start None"),
    "start": ({"data": "features", "split": 450, "budget": 9, "parameters": {"start": 3.0}}, "no start 3.0"),
    "width": (
        {"data": "features", "split": 450, "budget": 9, "parameters": {}, "widths": [32, 31]},
        "features differ in width",
    ),
    "start outside": (
        {"data": "features", "split": 450, "budget": 9, "parameters": {"start": 900}},
        "start 900 is not among the 900",
    ),
    "negative start": (
        {"data": "features", "split": 450, "budget": 9, "parameters": {"start": -1}},
        "start -1 is not among the 900",
    ),
    "all but known": (
        {"data": "features", "split": 450, "budget": 899, "parameters": {}, "labelled": [800, 3, 449]},
        "budget 899 is more than the 897 samples",
    ),
    "other data": (
        {"data": "features", "split": 450, "budget": 9, "parameters": {}, "picks": OTHER},
        "labelled indexes b/test",
    ),
    "trim": ({"data": "features", "split": 450, "budget": 9, "parameters": {"trim": 0.1}}, "all rows at once"),
}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each rank found."""
    folder = tmp_path_factory.mktemp("shards")
    np.savez(folder / "data.npz", **_data())
    (folder / "cases.json").write_text(json.dumps(CASES | {name: case for name, (case, _) in WRONG.items()}))
    command = [sys.executable, str(SCRIPT)]
    running = [subprocess.Popen([*command, str(rank), "2", str(folder)]) for rank in range(2)]
    try:
        assert [process.wait(timeout=240) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
    return [dict(np.load(folder / f"{rank}.npz")) for rank in range(2)]


@pytest.mark.parametrize("name", CASES)
def test_two_processes_pick_what_one_does(name: str, ranks: list[dict[str, Any]]) -> None:
    case = CASES[name]
    X, labelled = _data()[case["data"]], case.get("labelled")
    one = KCenterGreedy(**case["parameters"]).select(X, case["budget"], labelled=labelled)
    for found in ranks:
        np.testing.assert_array_equal(found[f"{name}/indices"], one.indices)
        np.testing.assert_array_equal(found[f"{name}/radii"], one.radii)


@pytest.mark.parametrize("name", WRONG)
def test_an_error_of_one_rank_is_raised_on_every_one(name: str, ranks: list[dict[str, Any]]) -> None:
    for found in ranks:
        assert WRONG[name][1] in str(found[f"{name}/error"])


def test_without_a_process_group() -> None:
    with pytest.raises(ConfigError, match="torchrun"):
        KCenterGreedy().select_sharded(np.zeros((3, 2)), 1)
