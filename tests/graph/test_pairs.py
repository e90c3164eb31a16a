"""Lists of pairs as graphs: every column, every way to get one wrong."""

from __future__ import annotations

import builtins
import sys

import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from pal_plugin.errors import ConfigError, GraphError
from pal_plugin.graph import pairs_graph

pytestmark = pytest.mark.filterwarnings("error")
IDS = ("cat/1.png", "cat/2.png", "dog, large/1.png", "dog, large/2.png", "owl/é.png")


@pytest.fixture
def write(tmp_path):
    def make(text, name="pairs.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def rows(graph):
    found = [graph.neighbours(node) for node in range(graph.num_nodes)]
    return [dict(zip(indices.tolist(), weights.tolist(), strict=True)) for indices, weights in found]


def test_ids(write):
    path = write('id_a,id_b\ncat/1.png,cat/2.png\n"dog, large/1.png",owl/é.png\n')
    reference = {"name": "x", "split": "train", "size": 5, "digest": "d"}
    graph = pairs_graph(path, IDS, reference)
    assert rows(graph) == [{1: 1}, {0: 1}, {4: 1}, {}, {2: 1}]
    assert graph.manifest == reference
    parameters = {"file": "pairs.csv", "must_link": 2, "cannot_link": 0}
    assert graph.builder == {"name": "pairs", "parameters": parameters, "cost": 0.0}


def test_a_spreadsheets_csv_with_relations_and_weights(write):
    header, *lines = (
        "weight, relation ,index_b,index_a",
        "0.5,must-link,1,0",
        "2,cannot-link,2,0",
        "",
        "0.75,must-link,3,0",
    )
    graph = pairs_graph(write("\ufeff" + "\r\n".join([header, *lines])), IDS)
    assert rows(graph) == [{3: 0.75, 1: 0.5, 2: -2}, {0: 0.5}, {0: -2}, {0: 0.75}, {}]
    assert graph.neighbours(0)[0].tolist() == [3, 1, 2]  # the highest weight first
    assert graph.builder["parameters"]["cannot_link"] == 1


def test_signed_weights_without_relations(write):
    graph = pairs_graph(write("index_a,index_b,weight\n0,1,-0.25\n3,2,1e-3\n"), IDS)
    assert rows(graph) == [{1: -0.25}, {0: -0.25}, {3: np.float32(1e-3)}, {2: np.float32(1e-3)}, {}]


def test_a_pair_may_be_listed_twice(write):
    graph = pairs_graph(write("index_a,index_b\n0,1\n1,0\n0,1\n0,2\n"), IDS)
    assert [list(row) for row in rows(graph)] == [[1, 2], [0], [0], [], []]


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 8), st.integers(0, 8)).filter(lambda pair: pair[0] < pair[1]),
        st.sampled_from([-2.0, -1.0, 0.5, 1.0, 3.0]),
        min_size=1,
    ),
    st.randoms(use_true_random=False),
)
def test_equal_to_the_loop(tmp_path_factory, pairs, random):
    path = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    lines = [(*pair, weight) if random.random() < 0.5 else (*pair[::-1], weight) for pair, weight in pairs.items()]
    path.write_text("index_a,index_b,weight\n" + "".join(f"{a},{b},{w}\n" for a, b, w in lines))
    expected = []
    for node in range(9):
        mine = [(-w, place, b if a == node else a) for place, (a, b, w) in enumerate(lines) if node in (a, b)]
        expected.append([(other, -negative) for negative, _, other in sorted(mine)])
    graph = pairs_graph(path, [str(i) for i in range(9)])
    found = [list(row.items()) for row in rows(graph)]
    assert found == expected


@pytest.mark.parametrize("suffix", [".parquet", ".pq", ".PARQUET"])
def test_parquet_gives_the_graph_of_csv(write, tmp_path, suffix):
    table = {
        "id_a": IDS[:3],
        "id_b": IDS[1:4],
        "relation": ["must-link", "cannot-link", "must-link"],
        "weight": [1.0, 2.0, 0.5],
    }
    path = tmp_path / f"pairs{suffix}"
    parquet.write_table(pyarrow.table({name: list(column) for name, column in table.items()}), path)
    text = "".join(f'"{a}","{b}",{r},{w}\n' for a, b, r, w in zip(*table.values(), strict=True))
    assert pairs_graph(path, IDS).digest == pairs_graph(write("id_a,id_b,relation,weight\n" + text), IDS).digest
    parquet.write_table(pyarrow.table({"index_a": [0, 1], "index_b": pyarrow.array([2, 3], pyarrow.uint8())}), path)
    assert rows(pairs_graph(path, IDS)) == [{2: 1}, {3: 1}, {0: 1}, {1: 1}, {}]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"index_a": [0, None], "index_b": [1, 2]}, "row 2 has the index_a None"),
        ({"index_a": [0.5], "index_b": [1]}, "row 1 has the index_a 0.5"),
        ({"index_a": [0], "index_b": [9]}, r"indices .* 9 \(row 1\)"),
        ({"id_a": [IDS[0]], "id_b": [None]}, r"ids .* None \(row 1\)"),
        ({"index_a": [0], "index_b": [1], "weight": [None]}, "row 1 has the weight None"),
    ],
)
def test_parquet_with_wrong_cells_is_refused(tmp_path, table, said):
    path = tmp_path / "pairs.parquet"
    parquet.write_table(pyarrow.table(table), path)
    with pytest.raises(GraphError, match=said):
        pairs_graph(path, IDS)


def test_broken_and_missing_parquet_is_refused(write, tmp_path):
    with pytest.raises(GraphError, match="cannot be read as Parquet"):
        pairs_graph(write(b"PAR1 and then nothing", "pairs.parquet"), IDS)
    with pytest.raises(GraphError, match=r"no list of pairs at .*pairz\.parquet\. Did you mean pairs\.parquet\?"):
        pairs_graph(tmp_path / "pairz.parquet", IDS)


def test_parquet_with_a_bit_flipped_is_read_or_refused(tmp_path):
    """In the schema, where pyarrow calls some of them not implemented, which is no error of values."""
    path, refused = tmp_path / "pairs.parquet", 0
    parquet.write_table(pyarrow.table({"index_a": [0], "index_b": [1]}), path, use_dictionary=False)
    whole = path.read_bytes()
    for bit in range(8 * whole.index(b"ARROW:schema"), 8 * len(whole), 3):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        try:
            pairs_graph(path, IDS)
        except GraphError:
            refused += 1
    assert refused > 100


def test_without_pyarrow_the_extra_is_named(write, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "pyarrow":
            raise ImportError("No module named 'pyarrow'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for name in [name for name in sys.modules if name.split(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigError, match=r"pal-plugin\[parquet\]"):
        pairs_graph(write("x", "pairs.parquet"), IDS)


WRONG = {
    "no file": (None, "There is no list of pairs at"),
    "nothing": ("", r"columns \(none\)"),
    "header alone": ("id_a,id_b\n", "lists no pair"),
    "no header": ("cat/1.png,cat/2.png\n", "columns cat/1.png, cat/2.png"),
    "one end": ("id_a,weight\ncat/1.png,1\n", "columns id_a, weight"),
    "ids and indices": ("id_a,id_b,index_a,index_b\na,b,0,1\n", "columns id_a"),
    "one of each": ("id_a,index_b\ncat/1.png,1\n", "columns id_a, index_b"),
    "a mistyped column": ("id_a,id_b,wieght\na,b,1\n", "wieght"),
    "a column twice": ("id_a,id_b,id_b\na,b,b\n", "id_b, id_b"),
    "a short line": ("id_a,id_b\ncat/1.png,cat/2.png\n\ncat/1.png\n", "line 4 has 1 cells and the header 2"),
    "an open quote": ('id_a,id_b\n"cat/1.png,cat/2.png\n', "cannot be read as CSV"),
    "another encoding": (b"id_a,id_b\ncat/1.png,owl/\xe9.png\n", "cannot be read as CSV"),
    "an unknown id": ("id_a,id_b\ncat/1.png,cat/2.png\ncat/1.png,cow/1.png\n", r"5 samples .*'cow/1.png' \(row 2\)"),
    "an index beyond": ("index_a,index_b\n0,5\n-1,0\n", r"'5' \(row 1\), '-1' \(row 2\)"),
    "an index that is none": ("index_a,index_b\n0,x\n", "row 1 has the index_b 'x'"),
    "a fractional index": ("index_a,index_b\n0,1.0\n", "row 1 has the index_b '1.0'"),
    "another relation": (
        "index_a,index_b,relation\n0,1,must-link\n1,2,mustlink\n",
        "row 2 has the relation 'mustlink'",
    ),
    "a weight that is none": ("index_a,index_b,weight\n0,1,much\n", "row 1 has the weight 'much'"),
    "an empty weight": ("index_a,index_b,weight\n0,1,\n", "row 1 has the weight ''"),
    "NaN": ("index_a,index_b,weight\n0,1,nan\n", "row 1 has the weight 'nan'.*other than 0"),
    "infinite": ("index_a,index_b,weight\n0,1,-inf\n", "row 1 has the weight '-inf'"),
    "beyond float32": ("index_a,index_b,weight\n0,1,1e39\n", "row 1 has the weight '1e39'"),
    "zero": ("index_a,index_b,weight\n0,1,1\n0,2,0\n", "row 2 has the weight '0'"),
    "two signs": ("index_a,index_b,weight,relation\n0,1,-1,cannot-link\n", "row 1 has the weight '-1'.*above 0"),
    "itself": ("index_a,index_b\n0,1\n2,2\n", "row 2 pairs the sample 'dog, large/1.png' with itself"),
    "a contradiction": (
        "index_a,index_b,weight\n0,1,1\n0,2,1\n1,0,-1\n",
        "rows 1 and 3 give one pair the weights 1 and -1",
    ),
    "two confidences": ("index_a,index_b,weight\n0,1,1\n0,1,2\n", "rows 1 and 2"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_named_with_the_row(write, tmp_path, case):
    text, said = WRONG[case]
    path = tmp_path / "none.csv" if text is None else write(text)
    with pytest.raises(GraphError, match=said) as caught:
        pairs_graph(path, IDS)
    assert str(path) in caught.value.what


def test_of_many_unknown_ids_the_first_are_named(write):
    lines = "".join(f"cat/1.png,lost/{i}.png\n" for i in range(40))
    with pytest.raises(GraphError, match=r"'lost/0.png' \(row 1\), .*'lost/4.png' \(row 5\) and 35 more"):
        pairs_graph(write("id_a,id_b\n" + lines), IDS)
