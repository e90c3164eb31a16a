"""The contact sheet of a data set: its figures against NumPy, and which images are where."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from pal_plugin.data import load_dataset
from pal_plugin.errors import ConfigError
from pal_plugin.sheet import measures as measuring
from pal_plugin.sheet import write_data_sheet
from pal_plugin.sheet.measures import measure, summary


class Ragged:
    """Images in a list, of any sizes; counts how many are asked for."""

    def __init__(self, images):
        self.images = images
        self.read = 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        chosen = [self.images[int(row)] for row in rows]
        self.read += len(chosen)
        return chosen

    def content(self):
        return "0" * 64

    def subset(self, rows):
        return Ragged(self[rows])


def ragged(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (2 + i % 3, 5 + i % 2, 3), dtype=np.uint8) for i in range(count)]


def test_the_figures_of_an_array_are_numpys():
    dataset = load_dataset("digits", "train", subset=300)
    found = measure(dataset)
    pixels = dataset.images.reshape(-1, 3) / 255
    assert found.images == found.read == 300
    assert found.mean == pytest.approx(pixels.mean(axis=0), abs=1e-12)
    assert found.std == pytest.approx(pixels.std(axis=0), abs=1e-12)
    assert found.sizes == (((8, 8), 300),)
    assert [count for _, count in found.classes] == np.bincount(dataset.labels).tolist()
    assert found.unlabelled == 0


def test_images_of_many_sizes_are_measured_by_pixel(coloured):
    images = ragged(600)
    dataset = dataclasses.replace(coloured([0, -1, 2] * 200), images=Ragged(images))
    found = measure(dataset)
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]) / 255
    assert found.mean == pytest.approx(pixels.mean(axis=0), abs=1e-12)
    assert found.std == pytest.approx(pixels.std(axis=0), abs=1e-12)
    assert dict(found.sizes) == {(h, w): 100 for h in (2, 3, 4) for w in (5, 6)}
    assert found.classes == (("ant", 200), ("bee", 0), ("cow", 200))
    assert found.unlabelled == 200
    assert summary(dataset, found) == "toy/train: 600 images of 2×5 to 4×6 pixels in 2 classes"


def test_of_many_files_a_sample_is_read(coloured, monkeypatch):
    monkeypatch.setattr(measuring, "SAMPLE", 50)
    store = Ragged(ragged(300))
    found = measure(dataclasses.replace(coloured([0] * 300), images=store), seed=1)
    assert found.read == store.read == sum(count for _, count in found.sizes) == 50
    assert found.classes[0] == ("ant", 300)


def tiles(picture: np.ndarray, count: int) -> list[list[int]]:
    """The images of each line, left to right, told by their colour."""
    found = []
    for number in range(count):
        mask = (picture == (40 + 20 * number, 7, 9)).all(axis=2)
        if mask.any():
            y, x = np.argwhere(mask)[0]
            found.append((int(y), int(x), number))
    lines = sorted({y for y, *_ in found})
    return [[number for y, _, number in sorted(found) if y == line] for line in lines]


def test_each_class_has_its_line(tmp_path, coloured, read_page, decode):
    labels = [1, 0, 0, 1, -1, 1, 0, 1]
    dataset = coloured(labels)
    assert write_data_sheet(tmp_path, dataset) == [tmp_path / "data.png", tmp_path / "data.html"]
    image = Image.open(tmp_path / "data.png")
    lines = [[1, 2, 6], [0, 3, 5, 7], [4]]
    assert tiles(np.asarray(image), 8) == lines
    assert image.info["dpi"][0] >= 300
    page = read_page(tmp_path / "data.html")
    assert [heading.words() for heading in page.all("h3")] == ["ant 3 of 3", "bee 4 of 4", "unlabelled 1 of 1"]
    for line, group in zip(lines, page.all("ul", "sheet"), strict=True):
        for number, tile in zip(line, group.all("img"), strict=True):
            assert (decode(tile) == dataset.images[number]).all()
            assert tile.attributes["alt"].endswith(f": shots/{number}.png")
    table = {row.all("th")[0].text: row.all("td")[0].text for row in page.all("table")[-1].all("tbody")[0].all("tr")}
    assert table == {"ant": "3", "bee": "4", "cow": "0"}


def test_images_are_drawn_at_random_as_many_as_asked(tmp_path, coloured, read_page):
    def shown(seed: int) -> list[str]:
        write_data_sheet(tmp_path, coloured([0] * 5 + [1] * 5), per_class=2, seed=seed)
        return [image.attributes["title"] for image in read_page(tmp_path / "data.html").all("img")]

    assert all(len(shown(seed)) == 4 for seed in range(3))
    assert shown(0) == shown(0)
    assert len({tuple(shown(seed)) for seed in range(8)}) > 1


def test_nothing_labelled_fills_the_sheet(tmp_path, read_page):
    dataset = load_dataset("digits", "train", subset=200)
    dataset = dataclasses.replace(dataset, labels=np.full(200, -1), class_names=())
    write_data_sheet(tmp_path, dataset)
    page = read_page(tmp_path / "data.html")
    assert len(page.all("img")) == 60
    assert page.all("h3")[0].words() == "unlabelled 60 of 200"
    assert "nothing is labelled" in page.words()


def test_many_classes_are_side_by_side_and_at_most_a_hundred(tmp_path, read_page):
    dataset = load_dataset("digits", "train", subset=480)
    names = tuple(f"class {number}" for number in range(120))
    write_data_sheet(tmp_path, dataclasses.replace(dataset, labels=np.arange(480) % 120, class_names=names))
    page = read_page(tmp_path / "data.html")
    assert [heading.text.strip() for heading in page.all("h3")] == list(names[:100])
    assert "first 100 classes" in page.words()
    assert len(page.all("table")[-1].all("tr")) == 121
    image = Image.open(tmp_path / "data.png")
    assert image.size[0] / image.info["dpi"][0] < 8


def test_sizes_are_shown_where_they_differ(tmp_path, coloured, read_page):
    dataset = dataclasses.replace(coloured([0, 1, 2] * 4), images=Ragged(ragged(12)))
    write_data_sheet(tmp_path, dataset)
    page = read_page(tmp_path / "data.html")
    height, width = page.all("svg")
    assert height.attributes["aria-label"].endswith("2: 4, 3: 4, 4: 4")
    assert width.attributes["aria-label"].endswith("5: 6, 6: 6")
    assert "The commonest of 6 sizes" in page.words()


def test_hostile_names_are_shown_as_they_are(tmp_path, coloured, read_page):
    evil = '"><script>alert(1)</script>'
    dataset = dataclasses.replace(coloured([0, 1, 2], (evil, "a\nb", "c"), (evil, "\udc80", "x")), name=evil)
    write_data_sheet(tmp_path, dataset)
    page = read_page(tmp_path / "data.html")
    assert page.all("h3")[0].text.strip() == evil
    assert page.all("img")[0].attributes["title"] == evil


def test_fewer_than_one_image_is_refused(tmp_path, coloured):
    with pytest.raises(ConfigError, match="0 images of a class"):
        write_data_sheet(tmp_path, coloured([0, 1]), per_class=0)
