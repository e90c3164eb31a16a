"""How near picks are to all samples, which classes they are of, and which samples a file names."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pal_plugin.data.manifest import Manifest
from pal_plugin.errors import ManifestError, SelectionError
from pal_plugin.selection import (
    KCenterGreedy,
    RandomSelection,
    Selection,
    class_counts,
    coverage,
    kl_to_uniform,
    read_samples,
)
from pal_plugin.selection.coverage import SHARES, curve_budgets

X = np.random.default_rng(0).normal(size=(300, 8)) * 3 + 40
HERE = Manifest("toy", "train", tuple(f"image {number}" for number in range(300)), "0" * 64)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("scale", [1.0, 1e-30])
def test_distances_by_brute_force(metric, scale) -> None:
    rows = X * scale
    picks = RandomSelection(seed=3).select(rows, 90)
    labelled, among = [1, 2, 250], np.arange(40, 290)
    found = coverage(rows, picks, metric=metric, among=among, labelled=labelled, device="cpu")
    points = rows / np.linalg.norm(rows, axis=1, keepdims=True) if metric == "cosine" else rows
    between = np.linalg.norm(points[:, None] - points, axis=2)
    assert found.budgets.tolist() == curve_budgets(90).tolist()
    for budget, distances in zip(found.budgets, found.distances, strict=True):
        nearest = np.sort(between[among][:, [*labelled, *picks.indices[:budget]]].min(axis=1))
        expected = [nearest[math.ceil(share * (len(nearest) - 1))] for share in SHARES]
        np.testing.assert_allclose(distances, expected, rtol=1e-4, atol=1e-6 * between.max())


def test_the_last_share_is_the_covering_radius() -> None:
    picks = KCenterGreedy().select(X, 300)
    found = coverage(X, picks, device="cpu")
    np.testing.assert_allclose(found.distances[:-1, -1], picks.radii[found.budgets[:-1] - 1], rtol=1e-4)
    assert found.distances[-1].tolist() == [0, 0, 0]  # where all are picked, whatever a product rounds to


def test_budgets_of_a_curve() -> None:
    assert curve_budgets(0).tolist() == []
    assert curve_budgets(1).tolist() == [1]
    assert curve_budgets(3).tolist() == [1, 2, 3]
    many = curve_budgets(50_000)
    assert (many[0], many[-1]) == (1, 50_000)
    assert (np.diff(many) > 0).all()
    assert len(many) <= 24
    assert coverage(X, []).distances.shape == (0, 3)


def test_what_cannot_be_covered_is_refused() -> None:
    with pytest.raises(SelectionError, match="sample 300"):
        coverage(X, [300])
    with pytest.raises(SelectionError, match="twice"):
        coverage(X, [3, 3])


def test_frequencies_of_classes() -> None:
    assert class_counts([0, 2, 2, -1, 0, 2], 4).tolist() == [2, 0, 3, 0]
    assert kl_to_uniform([5, 5, 5, 5]) == pytest.approx(0)
    assert kl_to_uniform([0, 7, 0, 0]) == pytest.approx(math.log(4))
    assert kl_to_uniform([1, 3]) == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    assert kl_to_uniform([0, 0]) == 0


def test_samples_by_picks_and_by_ids(tmp_path) -> None:
    picks = KCenterGreedy().select(X, 20, manifest=HERE)
    picks.save(tmp_path / "picks.csv", ids=HERE.ids)
    np.testing.assert_array_equal(read_samples(tmp_path / "picks.csv", HERE), picks.indices)
    np.testing.assert_array_equal(read_samples(tmp_path / "picks.csv", HERE, 7), picks.indices[:7])
    (tmp_path / "ids.txt").write_text("image 5\n\n  image 290  \nimage 0\n", encoding="utf-8")
    assert read_samples(tmp_path / "ids.txt", HERE).tolist() == [5, 290, 0]
    assert read_samples(tmp_path / "ids.txt", HERE, 2).tolist() == [5, 290]
    with pytest.raises(SelectionError, match="no prefix of 4"):
        read_samples(tmp_path / "ids.txt", HERE, 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [("image 5\nimage 300\n", "line 2: toy/train has no sample 'image 300'"), ("image 5\nimage 5\n", "line 2.* twice")],
)
def test_lists_that_name_no_samples(text, said, tmp_path) -> None:
    (tmp_path / "ids.txt").write_text(text, encoding="utf-8")
    with pytest.raises(SelectionError, match=said):
        read_samples(tmp_path / "ids.txt", HERE)


def test_files_that_are_not_there_or_of_other_data(tmp_path) -> None:
    for name in ("ids.txt", "picks.csv"):
        with pytest.raises(SelectionError, match=name.split(".")[0]):
            read_samples(tmp_path / name, HERE)
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(SelectionError, match="not text"):
        read_samples(tmp_path / "bytes.txt", HERE)
    Selection(np.arange(3), None, HERE.reference() | {"digest": "1" * 64}).save(tmp_path / "other.csv")
    with pytest.raises(ManifestError, match=r"other\.csv"):
        read_samples(tmp_path / "other.csv", HERE)


@pytest.mark.parametrize("spread", [1e-3, 1e-4, 1e-5])
def test_near_copies_are_told_apart(spread) -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(50, 64))
    rows = np.repeat(centres / np.linalg.norm(centres, axis=1, keepdims=True), 20, axis=0)
    rows = (rows + spread * random.normal(size=rows.shape)).astype(np.float32)
    picks = KCenterGreedy().select(rows, 500)
    found = coverage(rows, picks, device="cpu").distances[-1, -1]
    # What float32 cannot tell apart may be measured to another pick of the same twenty.
    assert picks.radii[-1] * (1 - 1e-9) <= found <= 1.5 * picks.radii[-1]
