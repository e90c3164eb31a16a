"""`pal select`, and the commands that take its picks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pal_plugin.cli import main
from pal_plugin.data import load_dataset
from pal_plugin.graph import SimilarityGraph
from pal_plugin.oracle import oracle_graph
from pal_plugin.priors import save_features
from pal_plugin.selection import KCenterGreedy, ProbCover, Selection

DIGITS = ["--data", "digits", "--subset", "200"]


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("digits", "train", subset=200)


@pytest.fixture
def features(dataset, tmp_path) -> str:
    """The digits' pixels as a feature store."""
    pixels = dataset.images.reshape(200, -1).astype(np.float32) / 255
    save_features(tmp_path / "features", pixels, dataset.manifest, {"prior": "pixels"})
    return str(tmp_path / "features")


def select(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["select", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_data_set_and_a_prior(dataset, tmp_path, capsys) -> None:
    out = tmp_path / "picks.csv"
    figures = select(capsys, *DIGITS, "--prior", "pixels", "--budget", "0.25", "--out", str(out))
    pixels = dataset.images.reshape(200, -1).astype(np.float32) / 255
    expected = KCenterGreedy().select(pixels, 50)
    found = Selection.load(out, dataset.manifest)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.radii, expected.radii, rtol=1e-6)
    assert (figures["budget"], figures["samples"]) == (50, 200)
    assert figures["radius"] == pytest.approx(2 * figures["no_choice_below"])
    assert figures["distance_to_nearest_pick"]["100%"] == pytest.approx(figures["radius"], rel=1e-4)
    counts = np.bincount(dataset.labels[found.indices], minlength=10)
    assert list(figures["classes"].values()) == counts.tolist()
    shares = counts[counts > 0] / 50
    assert figures["kl_to_uniform"] == pytest.approx(float((shares * np.log(10 * shares)).sum()))
    table = out.read_text().splitlines()
    assert table[0] == "rank,index,id,radius,label"
    assert json.loads(out.with_suffix(".json").read_text())["ids"] == [dataset.ids[row] for row in found.indices]
    assert Image.open(figures["files"]["budget"]).size[0] > 800
    assert Image.open(figures["files"]["sheet"]).size[0] > 400


def test_features_alone(features, tmp_path, capsys) -> None:
    out = tmp_path / "a" / "picks.csv"
    figures = select(
        capsys, "--features", features, "--method", "probcover", "--param", "delta=2.5", "--metric", "euclidean",
        "--budget", "30", "--out", str(out), "--no-pictures",
    )  # fmt: skip
    expected = ProbCover(delta=2.5, metric="euclidean").select(np.load(Path(features) / "features.npy"), 30).indices
    np.testing.assert_array_equal(Selection.load(out).indices, expected)
    assert "radius" not in figures
    assert "classes" not in figures
    assert sorted(file.name for file in out.parent.iterdir()) == ["picks.csv", "picks.json"]


def test_labelled_candidates_and_earlier_picks(dataset, features, tmp_path, capsys) -> None:
    ids = tmp_path / "labelled.txt"
    ids.write_text("\n".join(dataset.ids[:5]), encoding="utf-8")
    pool = tmp_path / "candidates.txt"
    pool.write_text("\n".join(dataset.ids[:100]), encoding="utf-8")
    first, more = tmp_path / "first.csv", tmp_path / "more.csv"
    common = ["--features", features, *DIGITS, "--labelled", str(ids), "--candidates", str(pool), "--no-pictures"]
    select(capsys, *common, "--budget", "10", "--out", str(first))
    select(capsys, *common, "--budget", "30", "--after", str(first), "--out", str(more))
    X = np.load(Path(features) / "features.npy")
    expected = KCenterGreedy().select(X, 30, labelled=np.arange(5), candidates=np.arange(100)).indices
    np.testing.assert_array_equal(Selection.load(first).indices, expected[:10])
    np.testing.assert_array_equal(Selection.load(more).indices, expected)


@pytest.mark.parametrize("option", ["--labelled", "--candidates"])
@pytest.mark.parametrize("named", ["picks.csv", "ids.txt"])
@pytest.mark.parametrize("data", [DIGITS, []], ids=["with data", "features alone"])
def test_picks_and_ids_name_samples(option, named, data, dataset, features, tmp_path, capsys) -> None:
    rows = np.arange(20, 60)
    Selection(rows, None, dataset.manifest.reference()).save(tmp_path / "picks.csv", ids=dataset.ids)
    (tmp_path / "ids.txt").write_text("\n".join(dataset.ids[row] for row in rows), encoding="utf-8")
    out = tmp_path / "out.csv"
    arguments = ["--features", features, *data, option, str(tmp_path / named), "--budget", "10", "--out", str(out)]
    if named == "ids.txt" and not data:
        assert main(["select", *arguments]) == 2
        assert "names ids, and no data set has them" in capsys.readouterr().err
        return
    select(capsys, *arguments)
    X = np.load(Path(features) / "features.npy")
    expected = KCenterGreedy().select(X, 10, **{option.removeprefix("--"): rows}).indices
    np.testing.assert_array_equal(Selection.load(out).indices, expected)


@pytest.mark.parametrize("option", ["--labelled", "--candidates"])
def test_picks_of_another_data_set_name_no_samples(option, features, tmp_path, capsys) -> None:
    other = load_dataset("digits", "train", subset=300).manifest
    Selection(np.arange(9), None, other.reference()).save(tmp_path / "picks.csv")
    arguments = ["--features", features, option, str(tmp_path / "picks.csv"), "--budget", "5"]
    assert main(["select", *arguments, "--out", str(tmp_path / "out.csv")]) == 2
    assert "digits/train with 300 samples" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--labelled", "--candidates", "--after"])
@pytest.mark.parametrize(("index", "said"), [(-1, "it names sample -1"), (200, "names sample 200, but there are 200")])
def test_a_file_of_samples_that_are_not_there_is_named(option, index, said, features, tmp_path, capsys) -> None:
    Selection(np.array([3, index])).save(tmp_path / "other.csv")
    arguments = ["--features", features, option, str(tmp_path / "other.csv"), "--budget", "5"]
    assert main(["select", *arguments, "--out", str(tmp_path / "out.csv")]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "other.csv" in told


def test_classes_in_turn(dataset, features, tmp_path, capsys) -> None:
    out = tmp_path / "picks.csv"
    figures = select(
        capsys, "--features", features, *DIGITS, "--balanced", "--budget", "40", "--out", str(out), "--no-pictures"
    )
    assert set(figures["classes"].values()) == {4}
    assert figures["kl_to_uniform"] == pytest.approx(0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget", "201"], "201"),
        (["--budget", "-1"], "-1"),
        (["--budget", "10", "--method", "kcentre"], "did you mean kcenter"),
        (["--budget", "10", "--param", "delta=1"], "no parameter 'delta'"),
        (["--budget", "10", "--balanced"], "classes of all samples"),
        (["--budget", "10", "--labelled", "ids.txt"], "--labelled ids.txt names ids"),
        (["--budget", "10", "--after", "ids.txt"], "no selection"),
        (["--budget", "10", "--labelled", "nothere.csv"], "nothere.csv is missing"),
        (["--budget", "10", "--start", "middle"], "no start 'middle'"),
        (["--budget", "10", "--data", "digits"], "digits/train"),
    ],
)
def test_bad_input_is_named_and_nothing_written(arguments, said, features, tmp_path, capsys) -> None:
    out = tmp_path / "out" / "picks.csv"
    assert main(["select", "--features", features, "--out", str(out), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--budget", "many"], "no number"), (["--budget", "10", "--param", "delta"], "KEY=VALUE")]
)
def test_words_that_are_no_values(arguments, said, features, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["select", "--features", features, "--out", str(tmp_path / "picks.csv"), *arguments])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_a_prior_needs_a_data_set(tmp_path, capsys) -> None:
    assert main(["select", "--prior", "pixels", "--budget", "3", "--out", str(tmp_path / "picks.csv")]) == 2
    assert "--data" in capsys.readouterr().err


def test_rows_that_are_no_numbers_are_named(tmp_path, capsys) -> None:
    rows = np.ones((20, 3), np.float32)
    rows[7, 1] = np.nan
    np.save(tmp_path / "x.npy", rows)
    arguments = ["--features", str(tmp_path / "x.npy"), "--budget", "3", "--out", str(tmp_path / "picks.csv")]
    assert main(["select", *arguments]) == 2
    assert "row 7" in capsys.readouterr().err


def test_picks_are_what_is_fitted_on_and_asked_about(dataset, features, tmp_path, capsys) -> None:
    out = tmp_path / "picks.csv"
    figures = select(capsys, "--features", features, *DIGITS, "--budget", "60", "--out", str(out), "--no-pictures")
    picks = Selection.load(out).indices
    arguments = ["--data", "digits", "--subset", "200", "--labelled", str(out)]
    assert main(["graph", "oracle", *arguments, "--budget", "40", "--out", str(tmp_path / "graph"), "--json"]) == 0
    capsys.readouterr()
    graph = SimilarityGraph.load(tmp_path / "graph")
    expected = oracle_graph(dataset.labels, samples=picks[:40])
    np.testing.assert_array_equal(graph.indices, expected.indices)
    assert set(np.flatnonzero(graph.degree)) <= set(picks[:40].tolist())
    assert graph.builder["cost"] == 40
    assert sum(figures["classes"].values()) == 60
    assert main(["graph", "oracle", "--data", "digits", "--labelled", str(out), "--out", str(tmp_path / "g")]) == 2
    assert "digits/train" in capsys.readouterr().err


def test_a_bound_only_where_the_picks_have_one(dataset, features, tmp_path, capsys) -> None:
    common = ["--features", features, *DIGITS, "--no-pictures"]
    random, more = str(tmp_path / "random.csv"), str(tmp_path / "more.csv")
    select(capsys, *common, "--method", "random", "--budget", "10", "--out", random)
    for extra in (["--after", random], ["--balanced"]):
        figures = select(capsys, *common, "--budget", "30", "--out", more, *extra)
        assert figures["radius"] > 0
        assert "no_choice_below" not in figures
    trimmed = select(capsys, *common, "--budget", "30", "--out", more, "--trim", "0.1")
    assert trimmed["no_choice_below"] == pytest.approx(trimmed["radius"] / 2)


def test_the_bound_is_in_no_picture_of_trimmed_picks(features, tmp_path, capsys) -> None:
    for name, trim in (("option", ["--trim", "0.1"]), ("parameter", ["--param", "trim=0.1"])):
        select(capsys, "--features", features, "--budget", "30", "--out", str(tmp_path / f"{name}.csv"), *trim)
    pictures = [np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("option", "parameter")]
    np.testing.assert_array_equal(*pictures)
