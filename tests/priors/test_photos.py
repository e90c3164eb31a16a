"""Images on disk, of any sizes: read batch by batch, by workers or not, and embedded like those in memory."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pal_plugin.cli import main
from pal_plugin.data import load_dataset
from pal_plugin.data.digits import load_digits
from pal_plugin.errors import ConfigError, DataError, FeatureError
from pal_plugin.priors import cached_at, embed, load_features, make_prior, ready


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path):
    """Thirty photographs of as many sizes, some in folders."""
    rng = np.random.default_rng(0)
    for number in range(30):
        file = tmp_path / "photos" / ("in" if number % 3 else ".") / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20 + number, 50 - number, 3), dtype=np.uint8)).save(file)
    return tmp_path / "photos"


def test_files_and_an_array_give_the_same_features(tmp_path):
    digits = load_digits("test").subset(40, 0)
    for number, image in enumerate(digits.images):
        (tmp_path / "files").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "files" / f"{number:03d}.png")
    folder = load_dataset("folder", "train", root=tmp_path / "files")
    for spec in ("pixels", "pixels?side=12", "hog", "pca:6?side=8"):
        lazy = embed(folder, make_prior(spec), batch_size=16)
        assert np.array_equal(lazy.features, embed(digits, make_prior(spec), batch_size=16).features)
        assert lazy.info["image_shape"] is None
        assert load_features(cached_at(folder, ready(make_prior(spec), folder)), folder.manifest).info == lazy.info


def test_the_features_do_not_depend_on_workers(photos, tmp_path):
    folder = load_dataset("folder", "train", root=photos)
    for workers in (0, 2):
        embed(folder, make_prior("hog"), out=tmp_path / str(workers), batch_size=8, num_workers=workers)
    for name in ("features.npy", "features.json"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    one_by_one = np.concatenate([make_prior("hog").embed(folder.images[[row]]) for row in range(30)])
    assert np.array_equal(load_features(tmp_path / "0").features, one_by_one)
    with pytest.raises(ConfigError, match="-1 data workers"):
        embed(folder, make_prior("hog"), num_workers=-1)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_is_no_image_is_named_and_the_rows_before_are_kept(photos, tmp_path, workers, capsys):
    broken = photos / "in" / "25.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    folder = load_dataset("folder", "train", root=photos)
    with pytest.raises(DataError, match=r"25\.png"):
        embed(folder, make_prior("hog"), out=tmp_path / "out", batch_size=4, num_workers=workers)
    assert (tmp_path / ".out.partial").is_dir()
    command = ["embed", "--data", "folder", "--root", str(photos), "--prior", "hog", "--batch-size", "4"]
    assert main([*command, "--workers", str(workers), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"What is embedded so far is kept in {tmp_path / '.out.partial'}: the same command goes on" in said
    broken.write_bytes(whole)
    mended = load_dataset("folder", "train", root=photos)  # other bytes: another data set
    with pytest.raises(FeatureError, match="another data set"):
        embed(mended, make_prior("hog"), out=tmp_path / "out", batch_size=4, num_workers=workers)


def test_pixels_of_different_sizes_say_what_to_do(photos):
    folder = load_dataset("folder", "train", root=photos)
    with pytest.raises(ConfigError, match=r"pixels\?side=32"):
        embed(folder, make_prior("pixels"))
    with pytest.raises(FeatureError, match=r"pixels\?side=32"):  # each batch is of one size, and they differ
        embed(folder, make_prior("pixels"), batch_size=1)


class Lists:
    """Images in a list: lazy images of any kind that are not files."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        return [self.images[row] for row in np.arange(len(self))[rows]]

    def content(self):
        return "0123"

    def subset(self, rows):
        return Lists(self[rows])


def test_a_function_gets_a_list_where_images_differ_in_size(tmp_path):
    digits = load_digits("test").subset(10, 0)
    cut = [image[: 4 + number % 3] for number, image in enumerate(digits.images)]
    kinds = []

    def heights(images):
        kinds.append(type(images))
        return [[len(image)] for image in images]

    heights.key = "heights"
    store = embed(dataclasses.replace(digits, images=Lists(cut)), heights, out=tmp_path / "out", batch_size=4)
    assert kinds == [list] * 3
    assert store.features[:, 0].tolist() == [len(image) for image in cut]


def pal(*arguments, folder):
    command = [sys.executable, "-m", "pal_plugin.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)


@pytest.mark.slow
def test_pal_embed_of_a_folder(photos, tmp_path):
    common = ["embed", "--data", "folder", "--root", str(photos), "--option", "labelled=false"]
    done = pal(*common, "--prior", "pca:5?side=16", "--out", "train", "--workers", "1", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["features"], figures["rows"], figures["dimensions"]) == ("train", 30, 5)
    folder = load_dataset("folder", "train", root=photos, options={"labelled": False})
    assert np.array_equal(
        load_features(tmp_path / "train", folder.manifest).features,
        embed(folder, make_prior("pca:5?side=16"), batch_size=64).features,
    )
    part = pal(*common, "--prior", "pca:5?side=16", "--subset", "9", "--fit", "train", "--json", folder=tmp_path)
    assert part.returncode == 0, part.stderr
    nine = folder.subset(9, 0)
    rows = [folder.ids.index(name) for name in nine.ids]
    found = load_features(json.loads(part.stdout)["features"], nine.manifest).features
    assert np.allclose(found, load_features(tmp_path / "train").features[rows], atol=1e-5)
    wrong = pal(*common, "--prior", "pixels", "--json", folder=tmp_path)
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
    assert "pixels?side=32" in wrong.stderr
