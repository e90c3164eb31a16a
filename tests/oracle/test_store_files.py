"""Answers in and out: CSV and JSON, merging stores, agreement by hand, and the commands that do it."""

import csv
import json
import uuid
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from pal_plugin.cli import main
from pal_plugin.data.manifest import Manifest
from pal_plugin.errors import ConfigError, GraphError, ManifestError, OracleError
from pal_plugin.graph.closure import closure
from pal_plugin.graph.pairs import pairs_graph
from pal_plugin.oracle.questions import Grid, Pairs
from pal_plugin.oracle.store import RelationStore


def fill(store: RelationStore) -> None:
    """Grids, pairs, not sure, confidences, a skipped question, an undone one, and one that is open."""
    store.record(Grid(3, [1, 5, 0]), [1, -1, -1], annotator="ann", source="active", seconds=2.25, clicks=4)
    store.record(Pairs([9, 2], [4, 7]), [1, -1], annotator="bob é", source="random", confidence=[0.5, 0.125])
    store.record(Grid(8, [10, 11]), [1, 0], annotator="ann", source="again", seconds=0.1)
    store.skip(store.ask(Pairs([12], [13]), annotator="ann", source="random"), "ann", 5.0)
    store.record(Pairs([14], [15]), [-1], annotator="bob é", source="random")
    store.undo("bob é")
    store.ask(Pairs([16], [17]), source="random")


def content(store: RelationStore, states: tuple[str, ...] = ("answered",)) -> list[tuple]:
    return [
        (
            entry.uuid,
            entry.question,
            entry.state,
            entry.annotator,
            entry.source,
            entry.seconds,
            entry.clicks,
            datetime.fromtimestamp(entry.closed_at, timezone.utc),  # files have microseconds, and floats more
            None if entry.relations is None else entry.relations.tolist(),
            None if entry.confidence is None else entry.confidence.tolist(),
        )
        for entry in store.questions()
        if entry.state in states
    ]


CLOSED = ("answered", "skipped", "undone")


@pytest.mark.parametrize(("suffix", "states"), [("csv", ("answered",)), ("json", CLOSED)])
def test_what_is_exported_comes_back_as_it_was(
    where: str, elsewhere: str, tmp_path: Path, manifest: Manifest, suffix: str, states: tuple[str, ...]
) -> None:
    file = tmp_path / f"answers.{suffix}"
    with RelationStore.create(where, manifest) as store, RelationStore.create(elsewhere, manifest) as other:
        fill(store)
        assert store.export(file) == len(content(store, states))
        merged = other.import_(file)
        assert (merged.taken, merged.known, merged.undone) == (len(content(store, states)), 0, 0)
        assert content(other, states) == content(store, states)
        assert other.import_(file).taken == 0
        assert store.import_(file).taken == 0
        assert content(other, CLOSED) == content(store, states)
        for name in ("a", "b", "relation", "confidence", "annotator"):
            np.testing.assert_array_equal(getattr(other.answers(), name), getattr(store.answers(), name))


def test_an_export_is_a_list_of_pairs_for_pal_graph_pairs(tmp_path: Path, manifest: Manifest) -> None:
    with RelationStore.create(tmp_path / "a.db", manifest) as store:
        store.record(Grid(3, [1, 5]), [1, -1], annotator="ann", source="t")
        store.record(Pairs([1], [7]), [1], annotator="bob", source="t")
        store.export(tmp_path / "answers.csv")
        graph = pairs_graph(tmp_path / "answers.csv", manifest.ids, manifest, transitive=True)
        expected = closure(store.graph())
        found = closure(graph)
        np.testing.assert_array_equal(found.component, expected.component)
        np.testing.assert_array_equal(found.apart, expected.apart)
        store.record(Pairs([2], [9]), [0], annotator="bob", source="t")
        store.export(tmp_path / "answers.csv")
        with pytest.raises(GraphError, match="'not-sure'"):
            pairs_graph(tmp_path / "answers.csv", manifest.ids, manifest)


def test_a_list_of_pairs_from_elsewhere_comes_in_once(tmp_path: Path, manifest: Manifest) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("id_a,id_b,relation\ns1,s2,must-link\ns4,s3,cannot-link\ns5,s6,not-sure\n")
    with RelationStore.create(tmp_path / "a.db", manifest) as store:
        assert store.import_(file, annotator="a rule").taken == 3
        assert store.import_(file, annotator="a rule").taken == 0
        answers = store.answers()
        assert answers.a.tolist() == [1, 3, 5]
        assert answers.relation.tolist() == [1, -1, 0]
        assert store.annotators() == ["a rule"]
        assert {entry.source for entry in store.questions()} == {"pairs.csv"}
        assert store.account().clicks == 3
        assert all(uuid.UUID(entry.uuid) for entry in store.questions())


def test_two_people_whose_lists_agree_have_both_answered(tmp_path: Path, manifest: Manifest) -> None:
    rows = "id_a,id_b,relation\ns0,s1,must-link\ns2,s3,must-link\n"
    with RelationStore.create(tmp_path / "a.db", manifest) as store:
        for name, more in (("ann", "s4,s5,cannot-link\n"), ("bob", "s4,s5,must-link\n")):
            (tmp_path / f"{name}.csv").write_text(rows + more)
            for taken in (3, 0):
                assert store.import_(tmp_path / f"{name}.csv", annotator=name).taken == taken
        assert store.account("bob").questions == store.account("ann").questions == 3
        found = store.agreement()
        assert found is not None
        assert (found.pairs, found.agree) == (3, pytest.approx(2 / 3))


def test_what_stands_twice_in_a_file_comes_in_once(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "pairs.csv").write_text("id_a,id_b,relation\ns1,s2,must-link\ns1,s2,must-link\ns2,s1,must-link\n")
    with RelationStore.create(tmp_path / "a.db", manifest) as store:
        merged = store.import_(tmp_path / "pairs.csv")
        assert (merged.taken, merged.known) == (2, 1)
        store.export(tmp_path / "answers.json")
        twice = json.loads((tmp_path / "answers.json").read_text())
        twice["questions"] += [{**twice["questions"][0], "state": "undone"}] * 2 + twice["questions"]
        (tmp_path / "answers.json").write_text(json.dumps(twice))
        with RelationStore.create(tmp_path / "b.db", manifest) as other:
            merged = other.import_(tmp_path / "answers.json")
            assert (merged.taken, merged.known, merged.undone) == (2, 4, 1)
            assert [entry.state for entry in other.questions()] == ["undone", "answered"]


def test_the_order_of_rows_and_of_columns_is_free(tmp_path: Path, manifest: Manifest) -> None:
    with (
        RelationStore.create(tmp_path / "a.db", manifest) as store,
        RelationStore.create(tmp_path / "b.db", manifest) as other,
    ):
        fill(store)
        store.export(tmp_path / "answers.csv")
        with (tmp_path / "answers.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        mixed = rows[::2] + rows[1::2]
        with (tmp_path / "mixed.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, sorted(rows[0]))
            writer.writeheader()
            writer.writerows(mixed)
        assert other.import_(tmp_path / "mixed.csv").taken == 3
        by_uuid = {entry.uuid: entry for entry in other.questions()}
        for entry in store.questions():
            if entry.state == "answered":
                pairs = zip(entry.question.i.tolist(), entry.question.j.tolist(), entry.relations.tolist(), strict=True)
                there = by_uuid[entry.uuid]
                again = zip(there.question.i.tolist(), there.question.j.tolist(), there.relations.tolist(), strict=True)
                assert set(pairs) == set(again)


def test_all_unknown_ids_are_named_and_nothing_is_taken_in(tmp_path: Path, manifest: Manifest) -> None:
    file = tmp_path / "pairs.csv"
    rows = [f"x{number},s1,must-link" for number in range(12)]
    file.write_text("\n".join(["id_a,id_b,relation", "s1,s2,must-link", *rows]) + "\n")
    with RelationStore.create(tmp_path / "a.db", manifest) as store:
        with pytest.raises(OracleError, match="12 samples") as caught:
            store.import_(file)
        assert all(f"'x{number}'" in str(caught.value) for number in range(12))
        assert store.drawn == 0


HEADER = "id_a,id_b,relation,weight,question,kind,annotator,time,seconds,clicks"
KEY = "0b0e7a5e-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no row"),
        ("id_a,id_b,relation\n", "no row"),
        ("id_a,id_b\ns1,s2\n", "columns"),
        ("id_a,id_b,relation,colour\ns1,s2,must-link,red\n", "colour"),
        ("id_a,id_b,relation\ns1,s2\n", "row 1 has fewer cells"),
        ("id_a,id_b,relation\ns1,s2,maybe\n", "question 1: .*'maybe'"),
        ("id_a,id_b,relation\ns1,s1,must-link\n", "question 1: .*itself"),
        ("id_a,id_b,relation,weight\ns1,s2,must-link,1.5\n", "confidence"),
        ("id_a,id_b,relation,weight\ns1,s2,must-link,nan\n", "confidence"),
        ("id_a,id_b,relation,weight\ns1,s2,must-link,heavy\n", "'heavy'"),
        (f"{HEADER}\ns1,s2,must-link,1,{KEY},grid,ann,yesterday,1,1\n", "'yesterday'"),
        (f"{HEADER}\ns1,s2,must-link,1,{KEY},grid,ann,2026-01-01,-1,1\n", "seconds"),
        (f"{HEADER}\ns1,s2,must-link,1,{KEY},grid,ann,2026-01-01,1,1.5\n", "clicks"),
        (f"{HEADER}\ns1,s2,must-link,1,{KEY},row,ann,2026-01-01,1,1\n", "kind 'row'"),
        (f"{HEADER}\ns1,s2,must-link,1,{KEY},grid,<b>,2026-01-01,1,1\n", "annotator"),
        (
            f"{HEADER}\ns1,s2,must-link,1,{KEY},grid,ann,2026-01-01,1,1\ns3,s2,must-link,1,{KEY},grid,ann,2026-01-01,1,1\n",
            "several anchors",
        ),
        (
            f"{HEADER}\ns1,s2,must-link,1,{KEY},grid,ann,2026-01-01,1,1\ns1,s3,must-link,1,{KEY},grid,bob,2026-01-01,1,1\n",
            "do not agree",
        ),
    ],
)
def test_a_file_that_is_wrong_is_named_and_nothing_is_taken_in(
    tmp_path: Path, manifest: Manifest, text: str, named: str
) -> None:
    file = tmp_path / "answers.csv"
    file.write_text(text)
    with RelationStore.create(tmp_path / "a.db", manifest) as store:
        with pytest.raises(OracleError, match=named) as caught:
            store.import_(file)
        assert str(file) in str(caught.value)
        assert store.drawn == 0


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "pal-plugin answers 2"}', '{"format": 1}'])
def test_json_that_is_wrong_is_named(tmp_path: Path, manifest: Manifest, text: str) -> None:
    file = tmp_path / "answers.json"
    file.write_text(text)
    with RelationStore.create(tmp_path / "a.db", manifest) as store, pytest.raises(OracleError, match=r"answers\.json"):
        store.import_(file)


@pytest.mark.parametrize("change", ["pairs", "state", "kind", "relation"])
def test_json_with_a_question_that_is_wrong_takes_in_nothing(tmp_path: Path, manifest: Manifest, change: str) -> None:
    file = tmp_path / "answers.json"
    with RelationStore.create(tmp_path / "a.db", manifest) as store:
        fill(store)
        store.export(file)
    listed = json.loads(file.read_text())
    question = listed["questions"][1]
    {
        "pairs": lambda: question.update(pairs=[]),
        "state": lambda: question.update(state="open"),
        "kind": lambda: question.update(kind=None),
        "relation": lambda: question["pairs"][0].update(relation=None),
    }[change]()
    file.write_text(json.dumps(listed))
    with RelationStore.create(tmp_path / "b.db", manifest) as store:
        with pytest.raises(OracleError, match="question 2"):
            store.import_(file)
        assert store.drawn == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("time", "1700000000"),
        ("drawn", "null"),
        ("seconds", "1" + "0" * 400),
        ("clicks", "Infinity"),
        ("clicks", "NaN"),
    ],
)
def test_json_with_a_number_that_does_not_fit_is_named(
    tmp_path: Path, manifest: Manifest, name: str, text: str
) -> None:
    file = tmp_path / "answers.json"
    with RelationStore.create(tmp_path / "a.db", manifest) as store:
        fill(store)
        store.export(file)
    listed = json.loads(file.read_text())
    listed["questions"][1][name] = "HERE"
    file.write_text(json.dumps(listed).replace('"HERE"', text))
    with RelationStore.create(tmp_path / "b.db", manifest) as store:
        with pytest.raises(OracleError, match=f"question 2: It has the {name}"):
            store.import_(file)
        assert store.drawn == 0


def test_files_of_another_data_set_missing_ones_and_other_suffixes(tmp_path: Path, manifest: Manifest) -> None:
    another = replace(manifest, content="d" * 64)
    with (
        RelationStore.create(tmp_path / "a.db", manifest) as store,
        RelationStore.create(tmp_path / "b.db", another) as other,
    ):
        fill(store)
        store.export(tmp_path / "answers.json")
        with pytest.raises(ManifestError, match="another data set"):
            other.import_(tmp_path / "answers.json")
        with pytest.raises(ManifestError, match="another data set"):
            other.merge(store)
        store.export(tmp_path / "answers.csv")
        assert other.import_(tmp_path / "answers.csv").taken == 3  # CSV goes by the ids
        with pytest.raises(OracleError, match=r"Did you mean answers\.csv"):
            store.import_(tmp_path / "answer.csv")
        for use in (store.export, store.import_):
            (tmp_path / "answers.txt").touch()
            with pytest.raises(ConfigError, match=r"\.csv or \.json"):
                use(tmp_path / "answers.txt")


def test_merging_once_more_changes_nothing(where: str, elsewhere: str, manifest: Manifest) -> None:
    with RelationStore.create(where, manifest) as store, RelationStore.create(elsewhere, manifest) as other:
        store.record(Pairs([0], [1]), [1], annotator="cy", source="t")
        fill(other)
        first = store.merge(other)
        assert (first.taken, first.known, first.undone) == (5, 0, 0)
        after = content(store, CLOSED)
        assert after[1:] == content(other, CLOSED)
        assert store.answers().relation.tolist() == [1, *other.answers().relation.tolist()]
        second = store.merge(other)
        assert (second.taken, second.known, second.undone) == (0, 5, 0)
        assert content(store, CLOSED) == after
        back = other.merge(store)
        assert (back.taken, back.known) == (1, 5)
        other.undo("ann")  # the skipped question
        other.undo("ann")  # the grid that was not sure
        assert store.merge(other).undone == 2
        assert store.merge(other).undone == 0
        assert len(store.answers().a) == len(other.answers().a) == 6


def test_two_copies_of_a_store_that_answered_the_same_open_question_keep_both_answers(
    tmp_path: Path, manifest: Manifest
) -> None:
    with RelationStore.create(tmp_path / "a.db", manifest) as store:
        number = store.ask(Pairs([0], [1]), source="t")
    (tmp_path / "b.db").write_bytes((tmp_path / "a.db").read_bytes())
    with RelationStore.open(tmp_path / "a.db") as store, RelationStore.open(tmp_path / "b.db") as other:
        store.answer(number, [1], annotator="ann")
        other.answer(number, [-1], annotator="bob")
        assert store.merge(other).taken == 1
        assert store.answers().relation.tolist() == [1, -1]
        assert store.agreement().agree == 0


def test_agreement_of_two_by_hand(tmp_path: Path, manifest: Manifest) -> None:
    with RelationStore.create(tmp_path / "a.db", manifest) as store:
        assert store.agreement() is None
        pairs = Pairs([0, 1, 2, 3, 4, 5, 6], [10, 11, 12, 13, 14, 15, 16])
        store.record(pairs, [1, 1, 1, -1, -1, 0, 1], annotator="ann", source="t")
        assert store.agreement() is None
        store.record(pairs, [1, 1, -1, -1, -1, 1, 0], annotator="bob", source="t")
        # Five pairs that both answered, four alike. ann says related to 3 of 5, bob to 2: chance .6·.4 + .4·.6 = .48
        found = store.agreement()
        assert (found.pairs, found.agree, found.measure, found.annotators) == (5, 0.8, "Cohen's kappa", 2)
        assert found.kappa == pytest.approx((0.8 - 0.48) / (1 - 0.48))
        store.record(Pairs([2], [12]), [-1], annotator="ann", source="again")  # the last word counts
        assert store.agreement().agree == 1
        assert store.agreement().kappa == pytest.approx(1)


def test_agreement_of_three_by_hand(tmp_path: Path, manifest: Manifest) -> None:
    with RelationStore.create(tmp_path / "a.db", manifest) as store:
        store.record(Pairs([0, 1, 2], [10, 11, 12]), [1, 1, -1], annotator="ann", source="t")
        store.record(Pairs([0, 1, 2], [10, 11, 12]), [1, -1, -1], annotator="bob", source="t")
        store.record(Pairs([0, 1], [10, 11]), [1, 1], annotator="cy", source="t")
        # Krippendorff's alpha. Values: 3 × (+ + +), (+ − +), (− −): + is 5 of 8. Observed disagreement, a pair's
        # ordered unlike answers over its answers less one: 0 + 2·2·1/2 + 0 = 2 of 8. Expected: 2·5·3/7 of 8.
        found = store.agreement()
        assert (found.pairs, found.measure, found.annotators) == (3, "Krippendorff's alpha", 3)
        assert found.agree == pytest.approx(2 / 3)
        assert found.kappa == pytest.approx(1 - 2 / (2 * 5 * 3 / 7))


def test_agreement_is_undefined_where_all_answers_are_the_same(tmp_path: Path, manifest: Manifest) -> None:
    with RelationStore.create(tmp_path / "a.db", manifest) as store:
        for name in ("ann", "bob", "cy"):
            store.record(Pairs([0, 1], [10, 11]), [1, 1], annotator=name, source="t")
            found = store.agreement()
            assert found is None or (found.agree == 1 and found.kappa is None)


def test_the_commands(tmp_path: Path, manifest: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
    path, other = str(tmp_path / "a.db"), str(tmp_path / "b.db")
    with RelationStore.create(path, manifest) as store:
        fill(store)
        store.record(Pairs([3, 1], [1, 5]), [1, 1], annotator="bob é", source="t")  # 3 ~ 1 ~ 5, and 3 ≁ 5
    RelationStore.create(other, manifest).close()

    def run(*arguments: str, status: int = 0) -> dict:
        assert main(["oracle", *arguments, "--json"]) == status
        return json.loads(capsys.readouterr().out)

    found = run("status", "--store", path)
    assert (found["samples"], found["answered"], found["skipped"], found["undone"], found["open"]) == (20, 4, 1, 1, 1)
    assert found["contradictions"] == 1
    assert "'s3' and 's5' are said to be unrelated" in found["contradicting"][0]
    assert found["agreement"]["pairs"] == 1
    assert set(found["annotators"]) == {"ann", "bob é"}
    assert found["to_ask_again"] == 3
    file = str(tmp_path / "answers.json")
    assert run("export", "--store", path, "--out", file)["questions"] == 6
    assert run("import", "--store", other, file) == {"taken": 6, "known": 0, "undone": 0}
    assert run("merge", "--store", other, path)[path] == {"taken": 0, "known": 6, "undone": 0}
    assert run("undo", "--store", other, "--annotator", "ann")["pairs"] == [["s12", "s13"]]
    assert run("check", "--store", other)["problems"] == []
    assert main(["oracle", "status", "--store", path]) == 0
    assert "contradiction: 's3' and 's5'" in capsys.readouterr().out


def test_the_commands_name_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for action in (["status"], ["undo"], ["check"], ["export", "--out", str(tmp_path / "a.csv")]):
        assert main(["oracle", *action, "--store", str(tmp_path / "none.db")]) == 2
        assert "There is no store of answers" in capsys.readouterr().err


def test_a_damaged_store_is_recovered_by_command(
    tmp_path: Path, manifest: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    path, new = tmp_path / "a.db", tmp_path / "new.db"
    with RelationStore.create(path, manifest) as store:
        for number in range(300):
            store.record(Pairs([number % 10], [10 + number % 7]), [1], annotator="ann", source="t")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 9 // 10])
    assert main(["oracle", "status", "--store", str(path)]) == 2
    assert f"pal oracle check --store {path} --recover NEW" in capsys.readouterr().err
    assert main(["oracle", "check", "--store", str(path), "--recover", str(new), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["problems"]
    assert main(["oracle", "check", "--store", str(new)]) == 0
    with RelationStore.open(new, manifest) as store:
        assert store.account().questions == found["questions"] > 200


def test_nothing_to_undo(where: str, manifest: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
    RelationStore.create(where, manifest).close()
    assert main(["oracle", "undo", "--store", where, "--annotator", "ann", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"undone": None}


def test_a_status_shows_the_first_contradictions(
    where: str, manifest: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    with RelationStore.create(where, manifest) as store:
        for other in range(1, 16):
            store.record(Pairs([0], [other]), [1], annotator="ann", source="random")
            store.record(Pairs([0], [other]), [-1], annotator="ann", source="random")
    assert main(["oracle", "status", "--store", where, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["contradicting"]
    assert main(["oracle", "status", "--store", where]) == 0
    shown = capsys.readouterr().out.splitlines()
    left = len(told) - sum(line.startswith("contradiction: ") for line in shown)
    assert left > 0
    assert shown[-1] == f"and {left} more contradictions: --json names all of them"
