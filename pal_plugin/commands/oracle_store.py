"""`pal oracle status|export|import|merge|undo|check`: look at a store of answers, and bring answers in and out."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pal_plugin.commands.options import (
    DATASETS,
    add_json,
    add_part,
    add_policy,
    add_whereabouts,
    file_path,
    load_part,
    show,
    store_place,
)
from pal_plugin.commands.targets import check_answers

if TYPE_CHECKING:
    from pal_plugin.data.manifest import Manifest
    from pal_plugin.oracle.store import RelationStore

_SHOWN = 10


def add(actions: Any) -> None:
    """Add the actions to `pal oracle`."""
    status = _action(actions, "status", _status, "what was asked and answered, by whom, and what contradicts what")
    add_policy(status)
    export = _action(actions, "export", _export, "write the answers to a file")
    export.add_argument("--out", type=file_path, required=True, metavar="FILE", help=".csv (a row a pair) or .json")
    imported = _action(actions, "import", _import, "take in the answers of a file: all of them, or none")
    imported.add_argument(
        "file", type=file_path, metavar="FILE", help=".csv with id_a,id_b,relation or .json of an export"
    )
    imported.add_argument("--annotator", default="imported", metavar="NAME", help="who answered where FILE has no name")
    _add_data(imported, "make the store for this data set where there is none")
    merge = _action(actions, "merge", _merge, "take in the answers of other stores of the same data set")
    merge.add_argument(
        "others", type=store_place, nargs="+", metavar="OTHER", help="file or URL of another store; it stays as it is"
    )
    undo = _action(actions, "undo", _undo, "take back the last answer; it stays in the history")
    undo.add_argument("--annotator", metavar="NAME", help="whose (default: anybody's)")
    check = _action(actions, "check", _check, "look at every page and row; status 1 where something is wrong")
    check.add_argument(
        "--recover", type=store_place, metavar="NEW", help="write what can still be read to this new store"
    )
    _add_data(check, "the data set, where the damaged store does not say any more which it is of")


def _action(actions: Any, name: str, run: Any, help_: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help_)
    parser.add_argument(
        "--store", type=store_place, required=True, metavar="FILE|URL", help="SQLite file, or postgresql://… of a team"
    )
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def _add_data(parser: argparse.ArgumentParser, use: str) -> None:
    parser.add_argument("--data", metavar="NAME", help=f"{use}: {DATASETS}")
    add_whereabouts(parser)
    add_part(parser)


def _manifest(args: argparse.Namespace) -> Manifest | None:
    return load_part(args).manifest if args.data else None


def _open(args: argparse.Namespace) -> RelationStore:
    from pal_plugin.oracle.store import RelationStore

    return RelationStore.open(args.store)


def _status(args: argparse.Namespace) -> int:
    from pal_plugin.oracle.policies import contradictions, describe, resolve

    with _open(args) as store:
        answers, ids, found = store.answers(), store.ids(), store.agreement()
        states = store.states()
        figures: dict[str, Any] = {"store": store.place, "data": f"{store.manifest['name']}/{store.manifest['split']}"}
        figures |= {"samples": store.num_samples, **states, **asdict(store.account())}
        by = {name: asdict(store.account(name)) for name in store.annotators()}
    against = contradictions(answers, store.num_samples)
    if args.policy != "refuse" or not against:
        known = resolve(answers, store.num_samples, args.policy)
        figures |= {
            "related": known.known.num_related,
            "unrelated": known.known.num_unrelated,
            "components": known.known.num_components,
            "set_aside": len(known.aside),
            "to_ask_again": len(known.again),
        }
    figures |= {"contradictions": len(against), "agreement": asdict(found) if found else None}
    told = [describe(contradiction, answers, ids) for contradiction in against]
    if args.json:
        show(figures | {"annotators": by, "contradicting": told}, as_json=True)
        return 0
    show(figures, as_json=False)
    for name, account in by.items():
        show({f"annotator {name}": account}, as_json=False)
    for sentence in told[:_SHOWN]:
        print(f"contradiction: {sentence}")
    if len(told) > _SHOWN:
        print(f"and {len(told) - _SHOWN} more contradictions: --json names all of them")
    return 0


def _export(args: argparse.Namespace) -> int:
    check_answers(args.out)
    with _open(args) as store:
        show({"file": str(args.out), "questions": store.export(args.out)}, as_json=args.json)
    return 0


def _import(args: argparse.Namespace) -> int:
    from pal_plugin.oracle.store import RelationStore

    manifest = _manifest(args)
    with _open(args) if manifest is None else RelationStore.ensure(args.store, manifest) as store:
        show(asdict(store.import_(args.file, annotator=args.annotator)), as_json=args.json)
    return 0


def _merge(args: argparse.Namespace) -> int:
    from pal_plugin.oracle.store import RelationStore

    figures = {}
    with _open(args) as store:
        for place in args.others:
            with RelationStore.open(place) as other:
                figures[other.place] = asdict(store.merge(other))
    show(figures, as_json=args.json)
    return 0


def _undo(args: argparse.Namespace) -> int:
    with _open(args) as store:
        last = store.last(args.annotator)
        question = store.undo(args.annotator)
        ids = store.ids()
    if question is None or last is None:
        show({"undone": None}, as_json=args.json)
        return 0
    pairs = [[ids[i], ids[j]] for i, j in zip(question.i.tolist(), question.j.tolist(), strict=True)]
    figures = {"undone": last.id, "kind": question.kind, "annotator": last.annotator, "pairs": pairs}
    show(figures, as_json=args.json)
    return 0


def _check(args: argparse.Namespace) -> int:
    from pal_plugin.oracle.store import check, recover
    from pal_plugin.oracle.store.engine import place_of

    health = recover(args.store, args.recover, _manifest(args)) if args.recover else check(args.store)
    figures = asdict(health) | {"problems": list(health.problems)}
    show(figures | ({"recovered": place_of(args.recover)} if args.recover else {}), as_json=args.json)
    return int(bool(health.problems or health.lost or not health.complete))
