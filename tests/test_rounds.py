"""Rounds of questions and training: what they ask, write and refuse, and that a killed run ends as one that was not."""

from __future__ import annotations

import csv
import dataclasses
import json
import runpy
import shutil
import signal
import threading
from collections.abc import Callable
from itertools import combinations, pairwise
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
import torch

from pal_plugin import registry
from pal_plugin.cli import main
from pal_plugin.commands.oracle_run import default_out
from pal_plugin.data import load_digits
from pal_plugin.errors import ConfigError, ManifestError, OracleError, PalError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.graph.relations import relations
from pal_plugin.graphs import make_graph
from pal_plugin.launch import compose
from pal_plugin.oracle import Grid, LabelOracle, Pairs, first_of_each_class, make_strategy
from pal_plugin.oracle.seeds import tell_seeds
from pal_plugin.oracle.store import RelationStore
from pal_plugin.relations import describe
from pal_plugin.rounds import Settings, rounds
from pal_plugin.rounds.asking import ask_until, make_oracle
from pal_plugin.rounds.known import known_pairs
from pal_plugin.rounds.training import config_of_round, training_config
from pal_plugin.train import train

SCRIPT = Path(__file__).with_name("rounds_process.py")
SMALL = (
    "profile=debug",
    "optimizer.batch_size=16",
    "max_epochs=1",
    "validation.enabled=false",
    "method_kwargs.proj_hidden_dim=16",
    "method_kwargs.proj_output_dim=8",
)
DIGITS = load_digits("train").subset(64, 0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))


def digits(tmp_path: Path, **changes: Any) -> Settings:
    """Return settings that ask about 64 digits, and train nothing unless told to."""
    given: dict[str, Any] = {
        "data": {"dataset": "digits", "subset": 64},
        "store": str(tmp_path / "answers.db"),
        "out": tmp_path / "out",
        "budget": 8,
        "rounds": 2,
        "grid": 5,
        "method": None,
    }
    return Settings(**(given | changes))


def test_what_is_known_against_loops() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(-1, 3, 30)
    component = generator.integers(0, 9, 30)
    apart = {(a, b) for a, b in combinations(range(9), 2) if generator.random() < 0.4}
    members = [np.flatnonzero(component == number) for number in range(9)]
    chains = [(a, b, 1.0) for part in members for a, b in pairwise(part)]
    chains += [(members[a][0], members[b][-1], -1.0) for a, b in apart]
    rows, columns, weights = zip(*chains, strict=True)
    graph = SimilarityGraph.from_edges(30, rows, columns, weights, builder={"name": "x", "transitive": True})

    counts = {"related": [0, 0, 0], "unrelated": [0, 0, 0]}  # known, of them judged, of them right
    for a, b in combinations(range(30), 2):
        pair = tuple(sorted((component[a], component[b])))
        kind = "related" if pair[0] == pair[1] else "unrelated" if pair in apart else None
        if kind is not None:
            judged = labels[a] >= 0 and labels[b] >= 0
            right = judged and (labels[a] == labels[b]) == (kind == "related")
            counts[kind] = [n + more for n, more in zip(counts[kind], (1, judged, right), strict=True)]
    known = known_pairs(graph, labels)
    assert (known.related, known.unrelated) == (counts["related"][0], counts["unrelated"][0])
    assert known.related_purity == counts["related"][2] / counts["related"][1]
    both = np.array(counts["related"]) + counts["unrelated"]
    assert known.purity == both[2] / both[1]
    assert known_pairs(graph, np.full(30, -1))[2:] == (None, None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": 0}, "--budget is 0"),
        ({"grid": 0}, "--grid is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"rounds": 9}, "8 questions cannot be asked in 9 rounds"),
        ({"noise": 1.5}, "--noise is 1.5"),
        ({"noise": float("nan")}, "--noise is nan"),
        ({"noise": 0.1, "oracle": "human"}, "a person answers by the page"),
        ({"overrides": ("max_epochs=1",)}, "Nothing is trained"),
        ({"per_click": -1.0}, "per_click=-1.0 is no price"),
        ({"strategy": "actve"}, "did you mean active"),
        ({"strategy": "grids", "stop": float("nan")}, "The strategy grids does not stop early"),
        ({"stop": -1.0}, "The strategy active does not stop early"),
        ({"strategy": "merging", "stop": float("nan")}, "stop=nan is no number of joins"),
        ({"oracle": "lables"}, "did you mean labels"),
        ({"method": "simclr", "overrides": SMALL}, "does not learn from known relations"),
        ({"method": "pal_simcl"}, "did you mean pal_simclr"),
        ({"method": "pal_simclr", "overrides": (*SMALL, "graph=knn")}, "The rounds set graph themselves"),
        ({"method": "pal_simclr", "overrides": (*SMALL, "seed=1")}, "Give --seed"),
        ({"method": "pal_simclr", "overrides": (*SMALL, "max_epoch=1")}, "did you mean max_epochs"),
        ({"method": "pal_simclr", "overrides": (*SMALL, "devices=2")}, "devices=2 num_nodes=1 are several"),
        ({"data": {"dataset": "digits", "subset": 1}}, "no pairs among 1 samples"),
    ],
)
def test_refusals(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(PalError, match=said):
        rounds(digits(tmp_path, **changes))
    assert not (tmp_path / "out" / "run.json").exists()


def test_images_without_labels_have_no_oracle_of_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", DIGITS.images[:16])
    data = {"dataset": "arrays", "root": str(tmp_path / "images.npy"), "options": {}}
    with pytest.raises(PalError, match="the images of arrays have none"):
        rounds(digits(tmp_path, data=data, strategy="random"))


@pytest.mark.parametrize("strategy", ["random", "grids", "active", "merging"])
def test_asking_alone(strategy: str, tmp_path: Path) -> None:
    settings = digits(tmp_path, strategy=strategy, budget=9, rounds=2, per_click=0.5)
    points = rounds(settings)
    assert [point.account.questions for point in points] == [0, 4, 9]
    assert [point.accuracy for point in points] == [None] * 3
    with RelationStore.open(settings.store, DIGITS.manifest) as store:
        graph = store.graph("again")
        last = points[-1]
        assert relations(graph).num_pairs == last.related
        assert last.cost == 0.5 * last.account.clicks > 0
        assert (last.purity, last.account.unsure) == (1.0, 0)
        assert last.related + last.unrelated >= last.account.answers
    kept = SimilarityGraph.load(settings.out / "round_2" / "graph")
    assert kept.digest == graph.digest
    rows = json.loads((settings.out / "curve.json").read_text())
    assert rows == [point.row() for point in points]
    with (settings.out / "curve.csv").open() as file:
        assert [int(row["questions"]) for row in csv.DictReader(file)] == [0, 4, 9]


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("strategy", ["random", "grids", "active", "uncertainty", "merging"])
def test_a_run_that_is_stopped_after_every_answer_asks_the_same(strategy: str, noise: float, tmp_path: Path) -> None:
    settings = digits(tmp_path, strategy=strategy, noise=noise, budget=40)
    space = (
        np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
        + np.eye(10, 8, dtype=np.float32)[DIGITS.labels]
    )
    seeds = first_of_each_class(DIGITS.labels)
    histories = []
    for name, stops in (("whole", [40]), ("stopped", range(1, 41))):
        with RelationStore.create(tmp_path / f"{name}.db", DIGITS.manifest) as store:
            tell_seeds(store, seeds)
            for stop in stops:
                chosen = make_strategy(strategy, 64, grid=5, seed=1, seeds=seeds)
                oracle = make_oracle(settings, DIGITS, store)
                ask_until(stop, store, chosen, oracle, policy="again", annotator="labels", features=space)
            histories.append([(entry.question, entry.relations.tolist()) for entry in store.questions()])
    assert len(histories[0]) > 30
    assert histories[0] == histories[1]


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    settings = digits(tmp_path)
    points = rounds(settings)
    before = {path: path.stat().st_mtime_ns for path in settings.out.rglob("*.json") if "round_" in str(path)}
    assert rounds(settings) == points
    assert before == {path: path.stat().st_mtime_ns for path in before}
    (settings.out / "round_2" / "point.json").unlink()  # as if killed after its questions
    assert rounds(settings) == points
    with pytest.raises(ConfigError, match=r"settings.budget: 8 → 9; settings.grid: 5 → 6"):
        rounds(dataclasses.replace(settings, budget=9, grid=6))
    with filelock.FileLock(settings.out / ".lock"), pytest.raises(ConfigError, match="Another process is at work"):
        rounds(settings)
    for file in tmp_path.glob("answers.db*"):
        file.unlink()
    with pytest.raises(OracleError, match="have asked"):
        rounds(settings)


@pytest.mark.parametrize(
    ("store", "folder"),
    [
        ("stores/answers.db", "stores/answers-rounds"),
        ("postgresql://ann:secret@host/birds?options=-csearch_path%3Da/b", "birds-rounds"),
        ("postgresql://ann:secret@host", "answers-rounds"),
    ],
)
def test_the_folder_is_named_like_the_store(store: str, folder: str) -> None:
    assert default_out(store) == Path(folder)


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    settings = digits(tmp_path)
    settings.out.mkdir()
    (settings.out / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="thesis"):
        rounds(settings)
    (settings.out / "thesis.tex").unlink()
    (settings.out / "run.json").write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        rounds(settings)


def test_a_store_of_other_images_is_refused(tmp_path: Path) -> None:
    rounds(digits(tmp_path, strategy="random"))
    with pytest.raises(ManifestError, match="64 samples"):
        rounds(digits(tmp_path, data={"dataset": "digits", "subset": 65}, out=tmp_path / "other"))


def test_answers_that_were_there_count_as_known_and_not_as_asked(tmp_path: Path) -> None:
    with RelationStore.create(str(tmp_path / "answers.db"), DIGITS.manifest) as store:
        oracle, question = LabelOracle(DIGITS.labels), Grid(0, np.arange(1, 20))
        store.record(question, oracle.answer(question), annotator="ann", source="by hand")
    points = rounds(digits(tmp_path, strategy="grids"))
    assert [point.account.questions for point in points] == [0, 5, 9]
    assert points[0].related == 0  # the control knows nothing


def test_nothing_left_to_ask_ends_the_rounds(tmp_path: Path) -> None:
    data = {"dataset": "digits", "subset": 10}
    settings = digits(tmp_path, data=data, strategy="grids", grid=9, budget=60, rounds=3)
    points = rounds(settings)
    assert len(points) == 2
    assert points[-1].related + points[-1].unrelated == 45
    assert rounds(settings) == points


def test_mistakes_cost_purity(tmp_path: Path) -> None:
    clean = rounds(digits(tmp_path, strategy="random", budget=150))[-1]
    noisy = rounds(
        digits(tmp_path, strategy="random", budget=150, noise=0.2, store=str(tmp_path / "n.db"), out=tmp_path / "n")
    )[-1]
    assert clean.purity == clean.related_purity == 1
    assert noisy.related_purity is not None
    assert noisy.related_purity < 0.95


def test_a_file_that_answers(tmp_path: Path) -> None:
    ids = DIGITS.ids
    lines = [
        f"{ids[i]},{ids[j]},must-link" for i, j in combinations(range(64), 2) if DIGITS.labels[i] == DIGITS.labels[j]
    ]
    (tmp_path / "told.csv").write_text("id_a,id_b,relation\n" + "\n".join(lines) + "\n")
    settings = digits(tmp_path, strategy="grids", oracle=str(tmp_path / "told.csv"), budget=30)
    points = rounds(settings)
    assert points[-1].related > 0
    assert points[-1].unrelated == 0  # of what it does not list the file knows nothing
    assert points[-1].account.unsure > 0
    (tmp_path / "told.csv").write_text("id_a,id_b,relation\n" + lines[0] + "\n")
    with pytest.raises(ConfigError, match=r"content\.oracle"):
        rounds(settings)


def test_a_plugin_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry of `pal_plugin.oracles` is called with the data set."""
    monkeypatch.setitem(registry.oracles._added, "parity", lambda dataset: LabelOracle(dataset.labels % 2))
    points = rounds(digits(tmp_path, strategy="grids", oracle="parity", budget=10))
    graph = SimilarityGraph.load(tmp_path / "out" / "round_2" / "graph")
    assert known_pairs(graph, DIGITS.labels % 2).purity == 1 > known_pairs(graph, DIGITS.labels).purity
    with RelationStore.open(tmp_path / "answers.db") as store:
        assert store.annotators() == ["parity"]
    assert points[-1].account.questions == 10


def test_a_file_that_is_called_like_an_oracle_answers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(registry.oracles._added, "parity", lambda dataset: LabelOracle(dataset.labels % 2))
    for name in ("labels", "parity"):
        Path(name).write_text("a folder's own")
        settings = digits(tmp_path, oracle=name, store=str(tmp_path / f"{name}.db"), out=tmp_path / f"{name}-rounds")
        points = rounds(settings)
        with RelationStore.open(settings.store) as store:
            assert name in store.annotators()
            assert "file" not in store.annotators()
        Path(name).unlink()
        assert rounds(settings) == points  # it was no part of the run


def test_a_contradiction_that_is_refused_is_mended_as_it_says(tmp_path: Path) -> None:
    settings = digits(tmp_path, strategy="grids", policy="refuse")
    with RelationStore.create(settings.store, DIGITS.manifest) as store:
        pair = Pairs([0], [1])
        store.ask(pair, annotator="labels", source="left open by a run that was stopped")
        store.record(pair, -LabelOracle(DIGITS.labels).answer(pair), annotator="ann", source="by mistake")
    with pytest.raises(OracleError, match=r"--policy again \(`pal oracle run` keeps its policy: give it another --out"):
        rounds(settings)
    with pytest.raises(ConfigError, match=r"settings\.policy"):
        rounds(dataclasses.replace(settings, policy="again"))
    mended = rounds(dataclasses.replace(settings, policy="again", out=tmp_path / "mended"))
    assert mended[-1].account.questions == 1 + settings.budget
    assert mended[-1].purity == 1


def test_a_person_answers(tmp_path: Path) -> None:
    """Somebody answers on the page, here by the store itself, while the rounds wait."""
    settings = digits(tmp_path, strategy="grids", oracle="human", budget=4)
    oracle, stop = LabelOracle(DIGITS.labels), threading.Event()

    def person() -> None:
        with RelationStore.ensure(settings.store, DIGITS.manifest) as store:
            while not stop.wait(0.05):
                for entry in store.questions():
                    if entry.state == "open" and store.take(entry.id, "ann"):
                        answer = oracle.answer(entry.question)
                        store.answer(entry.id, answer, annotator="ann", seconds=2.0)

    RelationStore.create(settings.store, DIGITS.manifest).close()
    thread = threading.Thread(target=person)
    thread.start()
    try:
        points = rounds(settings)
    finally:
        stop.set()
        thread.join()
    assert [point.account.questions for point in points] == [0, 2, 4]
    assert points[-1].account.seconds == 8.0
    assert points[-1].purity == 1


def test_the_control_is_the_same_config_without_relations(tmp_path: Path) -> None:
    overrides = ("profile=debug", "max_epochs=4", "method_kwargs.importance=true")
    cfg = training_config("pal_byol", {"dataset": "digits", "subset": 64}, 3, overrides)
    assert (cfg.seed, cfg.data.subset, cfg.graph.builder) == (3, 64, "file")
    control = config_of_round(cfg, tmp_path / "graph", tmp_path / "run", related=False)
    later = config_of_round(cfg, tmp_path / "graph", tmp_path / "run", related=True)
    assert (control.method_kwargs.graph_alpha, control.method_kwargs.importance) == (0, False)
    assert (control.max_epochs, later.max_epochs) == (5, 4)  # a quarter of a batch is drawn: 4 / (1 - 1/4)
    assert later.method_kwargs.graph_alpha == cfg.method_kwargs.graph_alpha > 0


def test_training_on_a_store(tmp_path: Path) -> None:
    """`graph=answers`: what a store knows is the graph of a run."""
    where, oracle = str(tmp_path / "answers.db"), LabelOracle(DIGITS.labels)
    same = np.flatnonzero(DIGITS.labels == DIGITS.labels[0])
    questions = [Grid(0, [*same[1:4], *np.flatnonzero(DIGITS.labels != DIGITS.labels[0])[:3]]), Pairs([7], [9])]
    with RelationStore.create(where, DIGITS.manifest) as store:
        for question in questions:
            store.record(question, oracle.answer(question), annotator="ann", source="by hand")
    overrides = [*SMALL, "data.subset=64", "graph=answers", f"graph.store={where}", f"run_dir={tmp_path / 'run'}"]
    cfg = compose("pal_simclr", overrides)
    graph = make_graph(cfg.graph, DIGITS)
    assert relations(graph).num_pairs == 6
    said = "6 pair(s) known to be related among 4 of 64 images, from answers to 2 questions, closed under transitivity"
    assert describe(graph, relations(graph)) == said
    metrics = train(cfg)
    assert metrics["known_images"] == 4
    with pytest.raises(ManifestError, match="64 samples"):
        make_graph(cfg.graph, load_digits("train"))
    with RelationStore.open(where) as store:
        store.record(Pairs([same[1]], [same[2]]), [-1], annotator="bob", source="by hand")
    with pytest.raises(OracleError, match="contradict"):
        make_graph(cfg.graph, DIGITS)
    cfg.graph.policy = "latest"
    graph = make_graph(cfg.graph, DIGITS)
    assert "answers to 3 questions, 1 of whose 8 relations are set aside (latest)" in describe(graph, relations(graph))
    cfg.graph.policy = "loudest"
    with pytest.raises(PalError, match="loudest"):
        make_graph(cfg.graph, DIGITS)


@pytest.fixture
def trained_settings(tmp_path: Path) -> Settings:
    overrides = (*SMALL, "backbone.name=resnet18")
    return digits(tmp_path, strategy="active", budget=12, method="pal_simclr", overrides=overrides)


def test_rounds_with_training(trained_settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    settings = trained_settings
    points = rounds(settings)
    assert all(point.accuracy is not None and 0 < point.accuracy <= 100 for point in points)
    assert [point.account.questions for point in points] == [0, 6, 12]
    said = capsys.readouterr().err
    assert "round 2 of 2: 12 questions" in said
    assert said.count("no known relations among 64 images") == 1
    assert "no batch of epoch" not in said
    for number in range(3):
        folder = settings.out / f"round_{number}"
        assert np.load(folder / "features" / "features.npy").shape == (64, 512)
        assert not (folder / "run" / "last.ckpt").exists()
        config = torch.load(folder / "run" / "model.ckpt", weights_only=True)["config"]
        assert config["method_kwargs"]["graph_alpha"] == (0.9 if number else 0)
    known = json.loads((settings.out / "round_2" / "run" / "metrics.json").read_text())["known_images"]
    assert known == int(relations(SimilarityGraph.load(settings.out / "round_2" / "graph")).known.sum()) > 0
    with pytest.raises(ConfigError, match="max_epochs: 1 → 2"):
        rounds(dataclasses.replace(settings, overrides=(*settings.overrides, "max_epochs=2")))


def test_a_space_to_begin_in_spares_the_control(tmp_path: Path, trained_settings: Settings) -> None:
    np.save(tmp_path / "space.npy", np.eye(10, dtype=np.float32)[DIGITS.labels])
    with pytest.warns(UserWarning, match="names no data set"):
        points = rounds(dataclasses.replace(trained_settings, features=tmp_path / "space.npy", budget=10, rounds=1))
    assert points[0].accuracy is None
    assert not (trained_settings.out / "round_0" / "run").exists()
    assert points[1].accuracy is not None
    # in a space of the classes every candidate of the first grids is of the anchor's
    assert points[1].related >= 10 * 5 // 2


Run = Callable[..., int]


@pytest.fixture
def run(processes: ForkServerContext, tmp_path: Path) -> Run:
    """Run the command in a process of its own and return its exit code."""

    def start(name: str, *, answer: int | None = None, batch: int | None = None) -> int:
        folder = ["--store", str(tmp_path / f"{name}.db"), "--out", str(tmp_path / name)]
        questions = ["--budget", "12", "--rounds", "2", "--grid", "5", "--noise", "0.1", "--subset", "64"]
        arguments = ["oracle", "run", "--data", "digits", *folder, *questions, "--", *SMALL, "max_epochs=2"]
        given = {"arguments": arguments, "kill_at_answer": answer, "kill_at_batch": batch}
        process = processes.Process(target=runpy.run_path, args=(str(SCRIPT), {"ARGS": given}))
        process.start()
        process.join(250)
        assert process.exitcode is not None
        return process.exitcode

    return start


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_anywhere_it_ends_the_same(run: Run, tmp_path: Path) -> None:
    assert run("whole") == 0
    assert run("killed", batch=2) == -signal.SIGKILL  # in the control's training
    assert run("killed", answer=3) == -signal.SIGKILL  # in the first questions
    assert run("killed", batch=5) == -signal.SIGKILL  # in the training on them
    assert run("killed", answer=0) == -signal.SIGKILL  # on the first of the second questions
    assert run("killed") == 0
    left, right = tmp_path / "whole", tmp_path / "killed"
    assert (left / "curve.csv").read_text() == (right / "curve.csv").read_text()
    assert (left / "curve.json").read_text() == (right / "curve.json").read_text()
    for number in range(3):
        folders = [place / f"round_{number}" for place in (left, right)]
        graphs = [SimilarityGraph.load(folder / "graph").digest for folder in folders]
        assert graphs[0] == graphs[1]
        weights = [torch.load(folder / "run" / "model.ckpt", weights_only=True)["state_dict"] for folder in folders]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    shutil.rmtree(left), shutil.rmtree(right)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["oracle", "run", "--data", "digits", "--subset", "64", "--store", str(tmp_path / "a.db"), "--no-train"]
    arguments += ["--budget", "6", "--rounds", "2", "--strategy", "grids"]
    assert main(arguments) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split()[:2] == ["round", "questions"]
    assert "cost" not in table[0]
    assert [line.split()[:2] for line in table[1:4]] == [["0", "0"], ["1", "3"], ["2", "6"]]
    assert (tmp_path / "a-rounds" / "curve.csv").exists()
    assert main([*arguments, "--json"]) == 0
    assert [row["questions"] for row in json.loads(capsys.readouterr().out)["rounds"]] == [0, 3, 6]
    priced = [*arguments, "--store", str(tmp_path / "b.db"), "--per-click", "0.5"]
    assert main(priced) == 0
    assert "cost" in capsys.readouterr().out.splitlines()[0]
    assert main([*arguments, "--grid", "4"]) == 2
    assert "settings.grid: 10 → 4" in capsys.readouterr().err
