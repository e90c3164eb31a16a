"""Selections on disk: what comes back, and what is refused."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from pal_plugin.data.manifest import Manifest
from pal_plugin.errors import ManifestError, SelectionError
from pal_plugin.oracle.strategies.ordered import read_picks
from pal_plugin.selection import CoreSet, KCenterGreedy, ProbCover, RandomSelection, Selection

IDS = [f'image, "{number}"' for number in range(40)]
HERE = Manifest("toy", "train", tuple(IDS), "0" * 64)
NEGATIVE = "rank,index,id,radius\n0,-1,,\n"
X = np.random.default_rng(0).normal(size=(40, 3))


@pytest.fixture
def picks() -> Selection:
    return KCenterGreedy().select(X, 12, manifest=HERE)


def test_what_is_saved_comes_back(picks, tmp_path) -> None:
    path = tmp_path / "picks.csv"
    picks.save(path, ids=IDS, labels=np.arange(40) % 3)
    found = Selection.load(path, HERE)
    np.testing.assert_array_equal(found.indices, picks.indices)
    np.testing.assert_array_equal(found.radii, picks.radii)
    assert (found.manifest, found.selector, found.samples) == (picks.manifest, picks.selector, 40)
    np.testing.assert_array_equal(read_picks(path), picks.indices)  # what questions are ordered by
    lines = path.read_text().splitlines()
    assert lines[0] == "rank,index,id,radius,label"
    assert lines[1].startswith(f'0,{picks.indices[0]},"image, ""{picks.indices[0]}""",')
    assert sorted(file.name for file in tmp_path.iterdir()) == ["picks.csv", "picks.json"]


@pytest.mark.parametrize("budget", [0, 5])
def test_picks_without_radii_come_back_without(budget, tmp_path) -> None:
    RandomSelection().select(X, budget).save(tmp_path / "picks.csv")
    found = Selection.load(tmp_path / "picks.csv")
    assert len(found) == budget
    assert found.radii is None or budget == 0
    with pytest.raises(ManifestError, match="do not say which data set"):
        Selection.load(tmp_path / "picks.csv", HERE)


def test_another_data_set_is_refused(picks, tmp_path) -> None:
    picks.save(tmp_path / "picks.csv", ids=IDS)
    with pytest.raises(ManifestError, match="toy/test"):
        Selection.load(tmp_path / "picks.csv", Manifest("toy", "test", tuple(IDS), "0" * 64))


def test_damaged_files_are_refused(picks, tmp_path) -> None:
    path = tmp_path / "picks.csv"
    picks.save(path, ids=IDS)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(SelectionError, match="is not the file that"):
        Selection.load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SelectionError, match="not text"):
        Selection.load(path)
    path.unlink()
    with pytest.raises(SelectionError, match="missing"):
        Selection.load(path)
    path.write_bytes(whole)
    about = json.loads((tmp_path / "picks.json").read_text())
    (tmp_path / "picks.json").write_text("{")
    with pytest.raises(SelectionError, match="not JSON"):
        Selection.load(path)
    for text in ("rank,index,id,radius\n0,1,,\n1,1,,\n", "rank,index,id,radius\n1,1,,\n", "rank,id\n0,a\n", NEGATIVE):
        path.write_text(text)
        about["picks"] = hashlib.sha256(text.encode()).hexdigest()
        (tmp_path / "picks.json").write_text(json.dumps(about))
        with pytest.raises(SelectionError, match="no file of picks"):
            Selection.load(path)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("manifest", {}),
        ("manifest", "x"),
        ("manifest", {"name": "toy", "split": "train", "size": "40", "digest": "0"}),
        ("selector", [1]),
        ("selector", {"parameters": 3}),
        ("samples", "40"),
    ],
)
def test_a_description_with_a_part_of_another_type_is_refused(part, value, picks, tmp_path) -> None:
    path = tmp_path / "picks.csv"
    picks.save(path, ids=IDS)
    about = json.loads((tmp_path / "picks.json").read_text())
    (tmp_path / "picks.json").write_text(json.dumps(about | {part: None}))
    assert len(Selection.load(path)) == 12
    (tmp_path / "picks.json").write_text(json.dumps(about | {part: value}))
    with pytest.raises(SelectionError, match=rf"picks\.json has {part}="):
        Selection.load(path)


def test_too_few_ids_or_labels(picks, tmp_path) -> None:
    for name in ("ids", "labels"):
        with pytest.raises(SelectionError, match=f"{name}, too few"):
            picks.save(tmp_path / "picks.csv", **{name: IDS[: picks.indices.max()]})
    assert not list(tmp_path.iterdir())


def test_prefix_and_radius(picks) -> None:
    with pytest.raises(SelectionError, match="no prefix of 13"):
        picks.prefix(13)
    with pytest.raises(SelectionError, match="No prefix"):
        picks.budget_for(picks.radii[-1] / 2)
    with pytest.raises(SelectionError, match="no radii"):
        _ = RandomSelection().select(X, 4).lower_bounds


@pytest.mark.parametrize(
    "selector",
    [
        KCenterGreedy(seed=np.int64(1), start=np.int64(3), trim=np.float32(0.25)),
        ProbCover(delta=np.float32(0.5)),
        CoreSet(batch=np.array([2, 4])),
        RandomSelection(seed=np.int64(1)),
    ],
    ids=str,
)
def test_parameters_of_numpys_numbers(selector, tmp_path) -> None:
    picks = selector.select(X, 6)
    picks.save(tmp_path / "picks.csv", ids=np.arange(40))
    found = Selection.load(tmp_path / "picks.csv")
    np.testing.assert_array_equal(found.indices, picks.indices)
    assert found.selector == picks.selector
    assert json.loads((tmp_path / "picks.json").read_text())["ids"] == picks.indices.tolist()
