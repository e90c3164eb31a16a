"""The sheet of a graph: who is beside whom in the picture and on the page, and what the marks say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from pal_plugin.errors import ConfigError, GraphError, ManifestError
from pal_plugin.graph import SimilarityGraph, knn_graph
from pal_plugin.graph.inspect import in_degree, inspect
from pal_plugin.sheet import write_graph_sheet
from pal_plugin.sheet.canvas import RIGHT, WRONG

LABELS = [0, 0, 1, 1, 2, -1]
EDGES = {0: [1, 2, 5], 1: [0], 2: [3, 0], 3: [4, 2], 4: [5], 5: [0]}


def graph_of(edges: dict[int, list[int]], nodes: int = 6, **keywords) -> SimilarityGraph:
    pairs = [(node, other) for node, others in edges.items() for other in others]
    rows, cols = zip(*pairs, strict=True) if pairs else ((), ())
    return SimilarityGraph.from_edges(nodes, rows, cols, **keywords)


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))


def rows_of(picture: np.ndarray, nodes: int) -> list[list[tuple[int, str]]]:
    """Find the tiles of a picture by their colour: for each line of them the nodes, left to right, and their frames."""
    found = []
    for node in range(nodes):
        mask = (picture == (40 + 20 * node, 7, 9)).all(axis=2)
        top_left = mask[1:, 1:] & ~mask[:-1, 1:] & ~mask[1:, :-1]
        for y, x in zip(*np.nonzero(top_left), strict=True):
            above = [tuple(pixel) for pixel in picture[max(y - 12, 0) : y + 1, x + 20].tolist()]
            frame = "right" if rgb(RIGHT) in above else "wrong" if rgb(WRONG) in above else ""
            found.append((int(y), int(x), node, frame))
    lines = sorted({y for y, *_ in found})
    return [
        [(node, frame) for y, _, node, frame in sorted(found, key=lambda tile: tile[1]) if y == line] for line in lines
    ]


def expected(edges: dict[int, list[int]], labels) -> list[list[tuple[int, str]]]:
    def frame(node: int, other: int) -> str:
        if -1 in (labels[node], labels[other]):
            return ""
        return "right" if labels[node] == labels[other] else "wrong"

    return [[(node, ""), *((other, frame(node, other)) for other in others)] for node, others in edges.items()]


def test_the_picture_has_each_anchor_with_its_neighbours_in_order_framed_by_class(tmp_path, coloured):
    edges = dict(list(EDGES.items())[:5])  # up to five anchors are in one block
    write_graph_sheet(tmp_path, graph_of(edges), coloured(LABELS))
    image = Image.open(tmp_path / "graph.png")
    assert rows_of(np.asarray(image), 6) == expected(edges, LABELS)
    assert image.mode == "RGB"
    width, dpi = image.size[0], image.info["dpi"][0]
    assert dpi >= 300
    assert width / dpi < 3.5  # a column of a two-column page


def test_many_short_rows_are_side_by_side(tmp_path, coloured):
    write_graph_sheet(tmp_path, graph_of(EDGES), coloured(LABELS))
    image = Image.open(tmp_path / "graph.png")
    rows = expected(EDGES, LABELS)
    assert rows_of(np.asarray(image), 6) == [rows[place] + rows[place + 3] for place in range(3)]
    assert image.size[0] / image.info["dpi"][0] < 7.1


def test_the_page_says_the_same(tmp_path, coloured, read_page, decode):
    dataset = coloured(LABELS)
    graph = graph_of(EDGES)
    assert write_graph_sheet(tmp_path, graph, dataset) == [tmp_path / "graph.png", tmp_path / "graph.html"]
    page = read_page(tmp_path / "graph.html")
    rows = page.all("ol", "rows")[0].children
    assert len(rows) == 6
    for (anchor, *neighbours), row in zip(expected(EDGES, LABELS), rows, strict=True):
        lead, *images = row.all("img")
        assert (decode(lead) == dataset.images[anchor[0]]).all()
        tiles = row.all("ol", "tiles")[0].children
        assert [tile.attributes.get("class", "") for tile in tiles] == [frame for _, frame in neighbours]
        for rank, ((node, frame), tile, image) in enumerate(zip(neighbours, tiles, images, strict=True), start=1):
            assert (decode(image) == dataset.images[node]).all()
            name = dataset.class_names[LABELS[node]] if LABELS[node] >= 0 else "unlabelled"
            verdict = {"right": ", class of the anchor", "wrong": ", another class", "": ""}[frame]
            assert image.attributes["alt"] == f"Neighbour {rank}: {name}, node {node}, {dataset.ids[node]}{verdict}"
            mark = {"right": "✓ ", "wrong": "✗ ", "": ""}[frame]
            assert tile.words().split() == f"{rank} {mark}{name}".replace(" unlabelled", "").split()
    hubs = page.all("section")[-1]
    assert hubs.all("img")[0].attributes["alt"] == "Hub: ant, node 0, shots/0.png, neighbour of 3 others"
    assert [tile.words().partition("×")[0] for tile in hubs.all("li")] == [
        str(count) for count in sorted(in_degree(graph).tolist(), reverse=True) if count
    ]


def test_the_table_holds_the_figures(tmp_path, coloured, read_page):
    graph = graph_of(EDGES)
    found = inspect(graph, LABELS, ks=(1, 2, 3))
    write_graph_sheet(tmp_path, graph, coloured(LABELS))
    page = read_page(tmp_path / "graph.html")
    table = {row.all("th")[0].text: row.all("td")[0].words() for row in page.all("tbody")[0].all("tr")}
    for body in page.all("div", "figures")[0].all("tbody"):
        table |= {row.all("th")[0].text: row.all("td")[0].words() for row in body.all("tr")}
    assert table["Nodes"] == "6"
    assert table["Positive edges"] == "10"
    assert table["Degree"] == "1 / 1.50 / 3"
    assert table["Components"] == "1"
    assert table["Reciprocity"] == f"{100 * found['reciprocity']:.1f}\u00a0%"
    assert table["Hubness"] == f"{found['hubness']['skewness']:.2f}"
    assert table["Orphans"] == "0"
    assert table["Purity at 1"] == f"{100 * found['purity@1']:.1f}\u00a0%"
    assert table["Purity at 3"] == f"{100 * found['purity@3']:.1f}\u00a0%"


def test_unlabelled_images_have_no_frames_and_no_verdicts(tmp_path, coloured, read_page):
    labels = [-1] * 6
    write_graph_sheet(tmp_path, graph_of(EDGES), coloured(labels, names=()), seed=3)
    picture = np.asarray(Image.open(tmp_path / "graph.png")).reshape(-1, 3)
    for colour in (RIGHT, WRONG):
        assert not (picture == rgb(colour)).all(axis=1).any()
    page = read_page(tmp_path / "graph.html")
    assert not page.all("li", "right")
    assert not page.all("li", "wrong")
    assert not page.all("ul", "key")
    assert "Purity" not in page.words()
    assert len(page.all("ol", "rows")[0].children) == 6


def test_columns_and_anchors_are_as_asked(tmp_path, coloured, read_page):
    write_graph_sheet(tmp_path, graph_of(EDGES), coloured(LABELS), anchors=2, columns=1)
    rows = read_page(tmp_path / "graph.html").all("ol", "rows")[0].children
    assert [len(row.all("img")) for row in rows] == [2, 2]
    assert sum(len(line) for line in rows_of(np.asarray(Image.open(tmp_path / "graph.png")), 6)) == 4


def test_an_anchor_without_all_its_neighbours_shown_says_so(tmp_path, coloured, read_page):
    write_graph_sheet(tmp_path, graph_of({0: [1, 2, 5]}), coloured(LABELS), columns=2)
    assert "first 2 of 3" in read_page(tmp_path / "graph.html").all("ol", "rows")[0].words()


def test_self_and_negative_edges_are_not_shown(tmp_path, coloured):
    graph = SimilarityGraph.from_edges(6, [0, 0, 0, 0], [0, 2, 1, 3], [1, -1, 0.5, 1])
    write_graph_sheet(tmp_path, graph, coloured(LABELS))
    assert rows_of(np.asarray(Image.open(tmp_path / "graph.png")), 6) == expected({0: [1, 3]}, LABELS)


def test_weights_are_said_where_they_differ(tmp_path, coloured, read_page):
    write_graph_sheet(tmp_path, graph_of({0: [1, 2]}, weights=[0.25, 1.0]), coloured(LABELS))
    tiles = read_page(tmp_path / "graph.html").all("ol", "rows")[0].all("ol", "tiles")[0].children
    assert [tile.words().split() for tile in tiles] == [["1", "✓", "ant0.25"], ["2", "✗", "bee"]]


def test_a_graph_without_edges(tmp_path, coloured, read_page):
    write_graph_sheet(tmp_path, graph_of({}), coloured(LABELS))
    page = read_page(tmp_path / "graph.html")
    assert "No node has a neighbour" in page.words()
    assert not page.all("img")
    assert not rows_of(np.asarray(Image.open(tmp_path / "graph.png")), 6)


def test_without_a_data_set_there_are_figures_only(tmp_path, read_page):
    assert write_graph_sheet(tmp_path, graph_of(EDGES)) == [tmp_path / "graph.html"]
    page = read_page(tmp_path / "graph.html")
    assert not page.all("img")
    assert len(page.all("svg")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["graph.html"]


def test_the_histogram_counts_nodes(tmp_path, read_page):
    graph = graph_of({0: [1, 2, 3], 1: [2], 4: [2]})
    write_graph_sheet(tmp_path, graph)
    degree, popularity = read_page(tmp_path / "graph.html").all("svg")
    assert degree.attributes["aria-label"].endswith("degree: 0: 3, 1: 2, 3: 1")
    assert popularity.attributes["aria-label"].endswith("in-degree: 0: 3, 1: 2, 3: 1")
    assert len(degree.all("rect")) == 3
    heights = [float(bar.attributes["height"]) for bar in degree.all("rect")]
    assert heights == sorted(heights, reverse=True)


def test_hostile_names_are_shown_as_they_are(tmp_path, coloured, read_page):
    evil = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;"
    names = (evil, "</style><b>", "bad\udcff\x00name")
    ids = tuple(f"{number}{evil}\n\udcff" for number in range(6))
    dataset = dataclasses.replace(coloured(LABELS, names, ids), name=evil)
    write_graph_sheet(tmp_path, graph_of(EDGES, builder={"name": evil, "parameters": {"<i>": evil}}), dataset)
    page = read_page(tmp_path / "graph.html")  # refuses script and b, and pictures from elsewhere
    assert page.all("h3")[0].text == evil
    assert page.all("h1")[0].text == f"Neighbours in {evil}"
    assert "bad\ufffd\ufffdname" in page.words()
    assert page.all("ol", "rows")[0].all("img")[0].attributes["title"] == f"0{evil}\ufffd\ufffd"
    for element in page.all("img"):
        assert set(element.attributes) <= {"class", "src", "alt", "title"}


def test_two_classes_of_one_name_are_two(tmp_path, coloured, read_page):
    write_graph_sheet(tmp_path, graph_of({0: [2]}), coloured(LABELS, names=("cat", "cat", "dog")))
    page = read_page(tmp_path / "graph.html")
    assert len(page.all("ol", "rows")[0].all("li", "wrong")) == 1


def test_neighbours_are_called_nearest_only_where_the_graph_orders_them(tmp_path, coloured, read_page):
    dataset = coloured(LABELS)
    features = np.arange(6.0)[:, None]
    for number, (graph, said) in enumerate(
        [
            (knn_graph(features, 2), True),
            (knn_graph(features, 2).subgraph(np.arange(6)), True),
            (graph_of(EDGES), False),
        ]
    ):
        write_graph_sheet(tmp_path / str(number), graph, dataset)
        assert ("nearest first" in read_page(tmp_path / str(number) / "graph.html").words()) is said


@pytest.mark.parametrize(("pick", "first"), [("hubs", 0), ("worst", 3)])
def test_other_picks(tmp_path, coloured, read_page, pick, first):
    edges = {0: [1], 1: [0], 2: [0, 3], 3: [4, 0], 5: [0]}
    write_graph_sheet(tmp_path, graph_of(edges), coloured(LABELS), anchors=1, pick=pick)
    assert f"node {first}," in read_page(tmp_path / "graph.html").all("ol", "rows")[0].all("img")[0].attributes["alt"]


def test_images_of_many_sizes(tmp_path, coloured, read_page):
    class Ragged:
        """Images of different sizes, as image folders give them."""

        def __len__(self):
            return 6

        def __getitem__(self, rows):
            return [np.full((30 + 90 * int(row), 200, 3), (40 + 20 * row, 7, 9), dtype=np.uint8) for row in rows]

        def content(self):
            return "0" * 64

        def subset(self, rows):
            raise NotImplementedError

    dataset = dataclasses.replace(coloured(LABELS), images=Ragged())
    write_graph_sheet(tmp_path, graph_of({0: [1, 5]}), dataset)
    picture = np.asarray(Image.open(tmp_path / "graph.png"))
    for node in (0, 1, 5):
        ys, xs = np.nonzero((picture == (40 + 20 * node, 7, 9)).all(axis=2))
        height, width = np.ptp(ys) + 1, np.ptp(xs) + 1
        assert max(height, width) == 224 or (height, width) == (30 + 90 * node, 200)
        assert height / width == pytest.approx((30 + 90 * node) / 200, rel=0.03)
    assert len(read_page(tmp_path / "graph.html").all("ol", "rows")[0].all("img")) == 3


def test_the_same_sheet_has_the_same_bytes(tmp_path, coloured):
    for name in "ab":
        write_graph_sheet(tmp_path / name, graph_of(EDGES), coloured(LABELS))
    for file in ("graph.png", "graph.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_what_does_not_fit_is_refused(tmp_path, coloured):
    dataset = coloured(LABELS)
    with pytest.raises(ConfigError, match="0 columns"):
        write_graph_sheet(tmp_path, graph_of(EDGES), dataset, columns=0)
    with pytest.raises(GraphError, match="6 nodes"):
        write_graph_sheet(tmp_path, graph_of(EDGES), coloured(LABELS[:5]))
    other = knn_graph(np.arange(6.0)[:, None], 2, manifest=coloured([0] * 6).manifest)
    write_graph_sheet(tmp_path, other, dataset)  # labels are no part of what a data set is
    with pytest.raises(ManifestError):
        write_graph_sheet(tmp_path, other, coloured(LABELS, ids=tuple("abcdef")))
