"""Whatever is in a file that a user may hand over, its parser reads it or raises a `PalError`: nothing else, no crash.

`--fuzz N` tries N broken files a parser, at new random places each time; CI tries few, at the same ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pal_plugin.data.array_files import ArrayFile, load_arrays, splits_of
from pal_plugin.data.idx import read_idx
from pal_plugin.data.manifest import Manifest
from pal_plugin.errors import PalError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.graph.pairs import pairs_graph
from pal_plugin.host import load_checkpoint
from pal_plugin.launch import main
from pal_plugin.oracle.file import FileOracle
from pal_plugin.oracle.store import RelationStore, files
from pal_plugin.oracle.strategies.ordered import read_picks
from pal_plugin.priors.base import parse_spec
from pal_plugin.priors.store import load_features, save_features
from pal_plugin.selection import RandomSelection, Selection
from pal_plugin.selection.reading import read_samples
from reproductions.reading import read_result, top1

IDS = tuple(f"train/{row:04d}" for row in range(20))
MANIFEST = Manifest("toy", "train", IDS, "0" * 64)
# what breaks parsers of text and numbers
TOKENS = (
    *(b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\n", b"\r", b",", b";", b'"', b"'", b"\\", b"\t", b" "),
    *(
        b"-1",
        b"1e999",
        b"nan",
        b"NaN",
        b"Infinity",
        b"-0",
        b"1_0",
        "٣".encode(),
        b"9" * 30,
        b"9" * 5000,
        b"0x1",
        b"1.5",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b"[" * 5000,
        b"null",
        b"true",
        b"{}",
        b"[]",
        b'"a"',
        b":",
        b"- ",
        b"&a ",
        b"*a",
        b"!!",
        b"${",
    ),
)


@st.composite
def broken(draw: st.DrawFn, content: bytes) -> bytes:
    """Return `content` after a few edits: bytes flipped, cut, doubled, or a token of `TOKENS` in their place."""
    made = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(made)))
        end = min(len(made), start + draw(st.integers(0, 12)))
        kind = draw(st.sampled_from(("flip", "cut", "double", "token", "noise", "end")))
        if kind == "flip" and start < len(made):
            made[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del made[start:end]
        elif kind == "double":
            made[start:start] = made[start:end]
        elif kind == "token":
            made[start:end] = draw(st.sampled_from(TOKENS))
        elif kind == "noise":
            made[start:end] = draw(st.binary(max_size=12))
        elif kind == "end":
            del made[start:]
    return bytes(made)


class Parsed(NamedTuple):
    """A file that is broken, and what reads it.

    Attributes:
        make: writes a whole one, and what goes with it, into a folder and returns it.
        read: reads it.
        mend: called on the broken file before it is read: puts right what would refuse it before the parser proper.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    mend: Callable[[Path], None] = lambda file: None


def picks(folder: Path) -> Path:
    chosen = RandomSelection(seed=0).select(np.zeros((20, 1), dtype=np.float32), 8)
    chosen = replace(chosen, manifest=MANIFEST.reference())
    chosen.save(folder / "picks.csv", ids=IDS)
    return folder / "picks.csv"


def sign(file: Path) -> None:
    about = json.loads(file.with_suffix(".json").read_text())
    about["picks"] = hashlib.sha256(file.read_bytes()).hexdigest()
    file.with_suffix(".json").write_text(json.dumps(about))


def written(name: str, text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(text)
        return folder / name

    return make


def parquet(folder: Path) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"index_a": [0, 1, 2], "index_b": [3, 4, 5], "weight": [1.0, 0.5, -0.2]})
    parquet.write_table(table, folder / "pairs.parquet")
    return folder / "pairs.parquet"


def answers(folder: Path) -> Path:
    with RelationStore.create(folder / "answers.db", MANIFEST) as store:
        store.import_(written("a.csv", PAIRS)(folder))
    return folder / "answers.db"


def exported(folder: Path) -> Path:
    entries = files.read(written("a.csv", PAIRS)(folder), IDS, annotator="who")
    files.write(folder / "answers.json", entries, IDS, MANIFEST.reference())
    return folder / "answers.json"


def features(folder: Path) -> Path:
    save_features(folder / "features", np.ones((20, 3), dtype=np.float32), MANIFEST, {"prior": "toy"})
    return folder / "features" / "features.npy"


def graph(folder: Path) -> Path:
    SimilarityGraph.from_edges(20, range(20), np.roll(np.arange(20), 1), manifest=MANIFEST).save(folder / "graph")
    return folder / "graph" / "graph.json"


def without_checksums(file: Path) -> None:
    """Leave what is written as an older version wrote it: nothing but the parser looks at the arrays."""
    for about in file.parent.glob("*.json"):
        if about != file:
            about.write_text(json.dumps({k: v for k, v in json.loads(about.read_text()).items() if k != "crc32"}))


def beside(make: Callable[[Path], Path], name: str) -> Callable[[Path], Path]:
    return lambda folder: make(folder).with_name(name)


def npz(folder: Path) -> Path:
    images = np.zeros((6, 4, 4, 3), dtype=np.uint8)
    np.savez(folder / "arrays.npz", images=images, labels=np.arange(6) % 2)
    return folder / "arrays.npz"


def npy(folder: Path) -> Path:
    np.save(folder / "bare.npy", np.ones((20, 3), dtype=np.float32))
    return folder / "bare.npy"


def idx(folder: Path) -> Path:
    (folder / "idx").write_bytes(bytes((0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6)))
    return folder / "idx"


def checkpoint(folder: Path) -> Path:
    torch.save({"state_dict": {"weight": torch.zeros(3)}, "config": {"method": "simclr"}}, folder / "last.ckpt")
    return folder / "last.ckpt"


def read_arrays(file: Path) -> None:
    for split in splits_of(ArrayFile(file).names, file):
        load_arrays(split, file)


def read_store(file: Path) -> None:
    with RelationStore.open(file, MANIFEST) as store:
        store.questions(), store.account(), store.states(), store.graph("majority")


def read_config(file: Path) -> None:
    main(["--config-dir", str(file.parent), "--config-name", file.stem, "profile=debug", "--cfg", "job"])


PAIRS = "id_a,id_b,relation\n" + "".join(f"{IDS[row]},{IDS[row + 1]},must-link\n" for row in range(0, 18, 3))
ROWS = "index_a,index_b,relation,weight\n0,1,must-link,0.5\n2,3,cannot-link,1\n"
LISTED = "\n".join(IDS[:5]) + "\n"
RANKS = "rank,index\n1,3\n0,7\n"
CONFIG = "defaults: [gps_simclr, _self_]\nname: mine\noptimizer: {lr: 7.0}\ngraph:\n  k: 3\n"
RESULT = '{"seed": 0, "metrics": {"knn": {"top1": 1.5}}}'
PARSERS = {
    "picks": Parsed(picks, lambda file: Selection.load(file, MANIFEST), sign),
    "picks' description": Parsed(beside(picks, "picks.json"), lambda file: Selection.load(file.with_suffix(".csv"))),
    "labelled": Parsed(picks, lambda file: read_samples(file, MANIFEST, 3), sign),
    "ids": Parsed(written("ids.txt", LISTED), lambda file: read_samples(file, MANIFEST)),
    "order": Parsed(written("order.csv", RANKS), read_picks),
    "pairs": Parsed(written("pairs.csv", PAIRS), lambda file: pairs_graph(file, IDS, transitive=True)),
    "pairs by number": Parsed(written("pairs.csv", ROWS), lambda file: pairs_graph(file, IDS)),
    "pairs as Parquet": Parsed(parquet, lambda file: pairs_graph(file, IDS)),
    "answers": Parsed(written("answers.csv", PAIRS), lambda file: FileOracle(file, IDS)),
    "answers as JSON": Parsed(exported, lambda file: FileOracle(file, IDS)),
    "store": Parsed(answers, read_store),
    "features": Parsed(features, load_features, without_checksums),
    "features' description": Parsed(beside(features, "features.json"), lambda file: load_features(file.parent)),
    "bare features": Parsed(npy, lambda file: load_features(file, MANIFEST)),
    "graph's description": Parsed(graph, lambda file: SimilarityGraph.load(file.parent)),
    "graph's ends": Parsed(
        beside(graph, "indptr.npy"), lambda file: SimilarityGraph.load(file.parent, mmap=False), without_checksums
    ),
    "graph's neighbours": Parsed(
        beside(graph, "indices.npy"), lambda file: SimilarityGraph.load(file.parent), without_checksums
    ),
    "graph's weights": Parsed(
        beside(graph, "weights.npy"), lambda file: SimilarityGraph.load(file.parent), without_checksums
    ),
    "arrays": Parsed(npz, read_arrays),
    "idx": Parsed(idx, lambda file: read_idx(file.read_bytes(), file.name)),
    "checkpoint": Parsed(checkpoint, load_checkpoint),
    "prior": Parsed(
        written("spec", "timm:resnet18?device=cpu&size=64"), lambda file: parse_spec(file.read_text(errors="replace"))
    ),
    "config": Parsed(written("mine.yaml", CONFIG), read_config),
    "result": Parsed(written("result.json", RESULT), lambda file: read_result(file, top1("knn"))),
}


@pytest.mark.parametrize("name", PARSERS)
def test_a_broken_file_is_read_or_named(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    examples = request.config.getoption("--fuzz")
    parsed = PARSERS[name]
    folder = tmp_path / "files"
    folder.mkdir()
    file = parsed.make(folder)
    whole = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    parsed.mend(file)
    parsed.read(file)

    @settings(
        max_examples=examples or 40,
        derandomize=not examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(broken(whole[file]))
    def attack(content: bytes) -> None:
        for path, before in whole.items():
            path.write_bytes(before)
        file.write_bytes(content)
        parsed.mend(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(PalError):
                parsed.read(file)

    attack()
