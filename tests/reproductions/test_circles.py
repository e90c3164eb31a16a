"""The experiments on circles: points, probe and embedding by brute force, and the table by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.linalg import eigh, inv

from pal_plugin.errors import ConfigError
from reproductions.pal import circles, figures
from reproductions.pal.circles_names import COMPONENTS, EXPERIMENTS, picture, result, table
from reproductions.pal.circles_table import compare, load_claims, markdown, ordered
from reproductions.pal.experiments import MISSING, active, contrastive, interpolation, missing, noise, same
from reproductions.pal.toy import AUTHORS, CLEAN, LAMBDA, Protocol, Task, probe
from reproductions.pal.toy import circles as draw_circles

PROTOCOLS = pytest.mark.parametrize("protocol", [AUTHORS, CLEAN], ids=lambda protocol: protocol.name)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("grid", [False, True])
def test_points_lie_on_their_circles(grid: bool) -> None:
    points, labels = draw_circles(200, 0.0, rng(), grid=grid)
    np.testing.assert_allclose(np.hypot(*points.T), labels + 1)
    assert set(labels) == {0, 1, 2, 3}
    if grid:
        assert np.bincount(labels).tolist() == [50] * 4
        of_one = np.unwrap(np.arctan2(*points[labels == 2].T[::-1]))
        np.testing.assert_allclose(np.diff(of_one), 2 * np.pi / 50)


def test_noise_has_its_standard_deviation() -> None:
    noisy, _ = draw_circles(4000, 0.1, rng(), grid=True)
    exact, _ = draw_circles(4000, 0.0, rng(), grid=True)
    assert (noisy - exact).std() == pytest.approx(0.1, rel=0.05)


def test_probe() -> None:
    generator = rng()
    embedding, labels = generator.standard_normal((30, 5)), generator.integers(4, size=30)
    queries = generator.standard_normal((9, 5))
    weights = np.linalg.solve(embedding.T @ embedding, embedding.T @ np.eye(4)[labels])
    assert probe(embedding, labels, queries).tolist() == np.argmax(queries @ weights, axis=1).tolist()
    few = probe(embedding[:3], np.array([0, 2, 1]), embedding[:3])  # fewer than dimensions: fitted exactly
    assert few.tolist() == [0, 2, 1]


@PROTOCOLS
def test_error_by_the_formulas(protocol: Protocol) -> None:
    generator = rng()
    train, test = draw_circles(60, 0.1, generator), draw_circles(80, 0.1, generator, grid=True)
    known = np.triu(generator.random((60, 60)) < 0.2)
    graph = np.where(known | known.T, 2 * same(train[1]) - 1, 0)
    inverse = inv(kernel(train[0], train[0], 0.2))
    vectors = eigh(graph - LAMBDA * inverse)[1][:, -5:]
    outside = kernel(test[0], train[0], 0.2) @ inverse @ vectors
    fitted, labels = (outside, test[1]) if protocol.probe_on_test else (vectors, train[1])
    weights = np.linalg.lstsq(fitted, np.eye(4)[labels], rcond=None)[0]
    wrong = np.argmax(outside @ weights, axis=1) != test[1]
    assert 0 < wrong.sum() < 60
    assert Task(train, test, sigma=0.2, protocol=protocol).error(graph) == wrong.mean()


def kernel(A: Any, B: Any, sigma: float) -> Any:
    return np.exp(-np.linalg.norm(A[:, None] - B, axis=2) / sigma)


@PROTOCOLS
def test_active(protocol: Protocol) -> None:
    errors = {name: curve[0] for name, curve in active(rng(), protocol).items()}
    assert min(errors["active"][0], errors["passive"][0]) > 0.5
    if protocol.as_published:  # otherwise it is known from the start that the seeds are unrelated
        assert errors["active"][0] == errors["passive"][0]
    assert errors["active"][20] < errors["passive"][20] - 0.1
    assert errors["active"][-1] < 0.1


@PROTOCOLS
def test_contrastive(protocol: Protocol) -> None:
    errors = {name: curve[0] for name, curve in contrastive(rng(), protocol).items()}
    assert min(errors["±1"][0], errors["0/1"][0]) > 0.5
    if protocol.as_published:  # otherwise it is known from the start that the seeds are unrelated
        assert errors["±1"][0] == errors["0/1"][0]
    assert errors["±1"][30] < errors["0/1"][30]
    assert max(curve[-1] for curve in errors.values()) < 0.05


def test_views_of_a_label() -> None:
    """With nearly all labels known, an even mixture gains from labels in both views; with none they are the same."""
    one, both = (interpolation(rng(), CLEAN._replace(one_view=one_view)) for one_view in (True, False))
    assert set(one) == {"α=0.5", "α=0.001", "α=1e-06"}
    for name, runs in one.items():
        assert runs.shape == (5, 16)
        assert (runs[:, 0] == both[name][:, 0]).all()
    assert both["α=0.5"][:, -1].mean() < one["α=0.5"][:, -1].mean() - 0.02


def test_missing() -> None:
    curves = {name: curve[0] for name, curve in missing(rng(), AUTHORS).items()}
    assert curves[COMPONENTS][0] == 4
    assert curves[COMPONENTS][-1] == 100  # every entry is gone
    assert curves["error"][0] < 0.2 < 0.5 < curves["error"][-1]
    assert MISSING.size == curves["error"].size


def test_noise() -> None:
    curve = noise(rng(), AUTHORS)["error"][0]
    assert curve[0] < 0.1
    assert curve[-1] > 0.4
    assert np.corrcoef(np.arange(curve.size), curve)[0, 1] > 0.95


def test_protocols_see_the_same_points_and_a_trial_is_a_function_of_its_number() -> None:
    first, again = (circles.trials("missing", 2, AUTHORS) for _ in range(2))
    clean = circles.trials("missing", 2, CLEAN)
    assert (first["error"] == again["error"]).all()
    assert (first[COMPONENTS] == clean[COMPONENTS]).all()
    assert (first["error"] != clean["error"]).any()
    assert (first["error"][0] != first["error"][1]).any()


def test_spread() -> None:
    spread = circles.spread(np.array([[0.1, 0.2], [0.3, 0.2]]))
    assert spread == {"mean": [0.2, 0.2], "std": [0.1, 0.0]}


def content(mean: float, std: float = 0.02, trials: int = 100) -> dict[str, Any]:
    curve = {"mean": [0.5, mean], "std": [0.0, std]}
    protocols = {"authors": {"error": curve}, "clean": {"error": {"mean": [0.5, 0.125], "std": [0.0, 0.0]}}}
    told = {"experiment": "noise", "profile": "smoke", "trials": trials, "runs": trials, "wall_s": 2.0}
    return told | {"x": [0.0, 10.0], "protocols": protocols, "hardware": "a machine", "commit": "abc"}


CLAIM = {"id": "noise", "text": "T.", "setting": "S", "x": "labels", "band": 0.05, "provenance": "them"}
CLAIM |= {"curves": {"error": {10: 0.2}}}


@pytest.mark.parametrize(("mean", "within"), [(0.24, "yes"), (0.16, "yes"), (0.26, "no")])
def test_band(mean: float, within: str) -> None:
    row = compare(content(mean), CLAIM)["error"]["10"]
    assert row["within"] == within
    assert row["difference"] == pytest.approx(mean - 0.2)
    assert (row["theirs"], row["clean"], row["error"]) == (0.2, 0.125, 0.002)


def test_a_number_of_theirs_that_we_have_no_point_for() -> None:
    with pytest.raises(ValueError, match="not in list"):
        compare(content(0.2), CLAIM | {"curves": {"error": {11: 0.2}}})


def test_markdown() -> None:
    results = {"noise": content(0.24)}
    rows = {"noise": compare(results["noise"], CLAIM)}
    text = markdown("smoke", results, rows, {"noise": CLAIM})
    assert "| 10 | error | 0.240 ± 0.020 | 0.200 | +0.040 | 0.050 | yes | 0.125 |" in text
    assert "1 of 1 means are within the band" in text
    assert "Ours: 100 trials, 100 runs, 2 s. Theirs: them." in text


def test_the_claimed_order_is_looked_up_by_protocol() -> None:
    curves = {"low": {1: 0.0, 2: 0.0, 3: 0.0}, "high": {1: 0.0}}
    content = {
        "x": [1, 2, 2.5, 3],
        "protocols": {
            "authors": {"low": {"mean": [0.9, 0.2, 9, 0.1]}, "high": {"mean": [0.8, 0.3, 0, 0.1]}},
            "clean": {"low": {"mean": [0.1, 0.2, 9, 0.3]}, "high": {"mean": [0.8, 0.3, 0, 0.4]}},
        },
    }
    order = {"curves": ["low", "high"], "between": [2, 3]}
    assert ordered(content, {"curves": curves, "order": order}, "authors") == {2: True, 3: False}  # a tie is not below
    assert ordered(content, {"curves": curves, "order": order}, "clean") == {2: True, 3: True}
    rises = {"curves": ["low"], "between": [1, 3]}
    assert ordered(content, {"curves": curves, "order": rises}, "authors") == {2: False, 3: False}
    assert ordered(content, {"curves": curves, "order": rises}, "clean") == {2: True, 3: True}
    assert ordered(content, {"curves": curves}, "clean") == {}


def test_claims_name_points_and_curves_of_the_experiments() -> None:
    claims = load_claims()
    assert tuple(claims) == EXPERIMENTS
    for name, claim in claims.items():
        x = np.round(circles.TRIAL[name][1], 4).tolist()
        for numbers in claim["curves"].values():
            assert set(numbers) <= set(x)


def test_an_unknown_experiment() -> None:
    with pytest.raises(ConfigError, match=r"'squares'.*--experiment active"):
        circles.main("debug", "squares")
    with pytest.raises(ConfigError, match=r"'huge'.*debug"):
        circles.main("huge", "noise")


@pytest.mark.slow
def test_from_trials_to_table_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in EXPERIMENTS:
        circles.main("debug", name)
        written = json.loads(result("debug", name).read_text(encoding="utf-8"))
        assert written["trials"] == 1
        assert set(written) >= {"paper", "profile", "wall_s", "hardware", "versions", "commit", "command"}
        for curves in written["protocols"].values():
            assert all(len(curve["mean"]) == len(written["x"]) for curve in curves.values())
    figures.main("debug")
    for name in EXPERIMENTS:
        with Image.open(picture("debug", name)) as drawn:
            drawn.load()
            assert min(drawn.size) > 400
    claimed = sum(len(numbers) for claim in load_claims().values() for numbers in claim["curves"].values())
    text = table("debug", ".md").read_text(encoding="utf-8")
    assert f" of {claimed} means" in text
    rows = json.loads(table("debug", ".json").read_text(encoding="utf-8"))
    assert rows["interpolation"]["α=0.5"]["4"]["theirs"] == 0.668


def test_claims_have_provenance() -> None:
    path = Path(figures.__file__).with_name("claims.yaml")
    assert all(claim["provenance"] for claim in yaml.safe_load(path.read_text(encoding="utf-8")))
