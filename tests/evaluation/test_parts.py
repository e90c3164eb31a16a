"""Images that are fitted on, chosen on and read are kept apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pal_plugin.data import load_dataset, sources
from pal_plugin.errors import ConfigError, DataError, ManifestError, SelectionError
from pal_plugin.evaluation import Splits, load_parts, merged_data
from pal_plugin.selection import RandomSelection

DIGITS = {"dataset": "digits"}


def ids(part):
    return set(part.images.ids)


def test_by_default_train_is_fitted_on_and_test_is_read():
    parts = load_parts(DIGITS, Splits())
    assert parts.fit.images.manifest == load_dataset("digits", "train").manifest
    assert parts.read.images.manifest == load_dataset("digits", "test").manifest
    assert parts.choice is None


def test_a_tenth_is_held_out_for_choosing_and_given_back():
    parts = load_parts(DIGITS, Splits(fit_subset=500), choose=True)
    fit, val = ids(parts.choice.fit), ids(parts.choice.val)
    assert len(val) == 50
    assert fit | val == ids(parts.fit)
    assert not fit & val
    assert not (fit | val) & ids(parts.read)
    whole, held = (np.bincount(part.images.labels) for part in (parts.fit, parts.choice.val))
    assert np.abs(held - whole / 10).max() <= 1  # stratified
    for part in (parts.choice.fit, parts.choice.val):  # and rows of what they were taken from
        assert [parts.fit.images.ids[row] for row in part.rows] == list(part.images.ids)


def test_a_val_split_is_chosen_on_where_there_is_one():
    parts = load_parts(DIGITS | {"val_fraction": 0.2}, Splits(), choose=True)
    assert parts.choice.fit is parts.fit
    assert not ids(parts.choice.val) & (ids(parts.fit) | ids(parts.read))
    assert len(ids(parts.choice.val) | ids(parts.fit)) == 1437


def test_val_may_be_read_and_is_then_said_to_be_chosen_on(capsys):
    parts = load_parts(DIGITS | {"val_fraction": 0.2}, Splits(read="val"), choose=True)
    assert parts.choice.val is parts.read
    assert not ids(parts.read) & ids(parts.fit)
    assert "favour what is chosen" in capsys.readouterr().err


def test_subsets_and_label_fractions():
    parts = load_parts(DIGITS | {"subset": 300, "subset_seed": 4}, Splits(read_subset=70, label_fraction=0.1, seed=4))
    trained_on = load_dataset("digits", "train", subset=300, seed=4)
    assert len(parts.fit.images) == 30
    assert ids(parts.fit) <= set(trained_on.ids)  # a tenth of what the network saw
    assert parts.fit.images.manifest == trained_on.subset(30, 4).manifest
    assert len(parts.read.images) == 70
    assert parts.describe()["fit"]["classes"] == {str(digit): 3 for digit in range(10)}


def test_images_that_a_selection_names(tmp_path, capsys):
    whole = load_dataset("digits", "train")
    chosen = RandomSelection().select(whole.images.reshape(len(whole), -1), 90, manifest=whole.manifest)
    chosen.save(tmp_path / "picks.csv", ids=whole.ids)
    parts = load_parts(DIGITS, Splits(labelled=tmp_path / "picks.csv", label_budget=50), choose=True)
    assert list(parts.fit.images.ids) == [whole.ids[row] for row in sorted(chosen.indices[:50])]
    assert len(parts.read.images) == 360
    assert ids(parts.choice.fit) | ids(parts.choice.val) == ids(parts.fit)  # no other labels are read to choose
    assert len(load_parts(DIGITS, Splits(labelled=tmp_path / "picks.csv")).fit.images) == 90
    with pytest.raises(ManifestError, match="300 samples"):
        load_parts(DIGITS | {"subset": 300}, Splits(labelled=tmp_path / "picks.csv"))
    with pytest.raises(SelectionError, match="no prefix of 91"):
        load_parts(DIGITS, Splits(labelled=tmp_path / "picks.csv", label_budget=91))
    for others in ({"fit_subset": 10}, {"label_fraction": 0.5}):
        with pytest.raises(ConfigError, match="names the images to fit on"):
            Splits(labelled=tmp_path / "picks.csv", **others)
    with pytest.raises(ConfigError, match="label budget of 5"):
        Splits(label_budget=5)


def test_nothing_is_loaded_to_fit_on_where_nothing_is_fitted():
    assert load_parts(DIGITS, Splits(read="train"), fit=False).fit is None


@pytest.fixture
def partly(monkeypatch):
    """A data set of which every third train image has no label, and no test image."""

    def load(split, root, options):
        dataset = load_dataset("digits", split)
        keep = (np.arange(len(dataset)) % 3 > 0) & (split == "train")
        return dataclasses.replace(dataset, name="partly", labels=np.where(keep, dataset.labels, -1))

    monkeypatch.setitem(sources.SOURCES, "partly", sources.Source(load))
    return {"dataset": "partly"}


def test_unlabelled_images_are_left_out_and_said(partly, capsys):
    parts = load_parts(partly | {"val_fraction": 0.1}, Splits(read="val"))
    assert "no label and are left out" in capsys.readouterr().err
    assert parts.fit.images.labels.min() == 0
    assert parts.fit.left_out + parts.read.left_out == 479
    described = parts.describe()["fit"]
    assert described["unlabelled_left_out"] == parts.fit.left_out
    assert sum(described["classes"].values()) == described["size"] == len(parts.fit.images)


def test_a_split_without_labels_is_refused(partly):
    with pytest.raises(DataError, match=r"None of the 360 images of partly/test has a label.*--data"):
        load_parts(partly, Splits())


def test_other_classes_are_refused(monkeypatch):
    def load(split, root, options):
        dataset = load_dataset("digits", split)
        names = dataset.class_names if split == "train" else (*dataset.class_names[:9], "ten")
        return dataclasses.replace(dataset, class_names=names)

    monkeypatch.setitem(sources.SOURCES, "other", sources.Source(load))
    with pytest.raises(DataError, match="different classes: 9, ten"):
        load_parts({"dataset": "other"}, Splits())
    assert load_parts({"dataset": "other"}, Splits(), fit=False).read.images.class_names[-1] == "ten"


def test_bad_input_is_named():
    with pytest.raises(ConfigError, match="both fitted on and read"):
        load_parts(DIGITS, Splits(read="train"))
    with pytest.raises(ConfigError, match=r"no split 'val'.*--val-fraction 0\.1"):
        load_parts(DIGITS, Splits(read="val"))
    with pytest.raises(ConfigError, match="label fraction of 0"):
        Splits(label_fraction=0)
    with pytest.raises(DataError, match="99999"):
        load_parts(DIGITS, Splits(fit_subset=99999))
    with pytest.raises(DataError, match="3 images are too few to hold some out"):
        load_parts(DIGITS, Splits(fit_subset=3), choose=True)


def test_the_checkpoints_data_and_what_is_said_over_it():
    own = {"dataset": "folder", "root": "a", "subset": 100, "subset_seed": 3, "options": {"x": 1, "y": 2}}
    assert merged_data(own) == own
    assert merged_data(own, root="b") == own | {"root": "b"}  # the same, where it is now
    assert merged_data(own, name="folder") == own
    assert merged_data(own, name="folder", root=Path("x/../a").resolve()) == own | {"root": Path("a").resolve()}
    assert merged_data(own | {"val_fraction": 0.2}, name="folder", root="b") == {"dataset": "folder", "root": "b"}
    published = own | {"dataset": "cifar10"}
    assert merged_data(published, name="cifar10", root="b") == published | {"root": "b"}
    assert merged_data(own, options={"y": 3, "z": 4})["options"] == {"x": 1, "y": 3, "z": 4}
    assert merged_data(own, name="other", options={"y": 3}) == {"dataset": "other", "options": {"y": 3}}
    assert merged_data(own, name="cifar10", val_fraction=0.1) == {"dataset": "cifar10", "val_fraction": 0.1}
    for nothing in (None, {}, {"subset": 5}):
        with pytest.raises(ConfigError, match="--data"):
            merged_data(nothing)


def test_images_that_were_taken_without_labels_say_so(tmp_path):
    for number in range(4):
        file = tmp_path / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(file)
    own = {"dataset": "folder", "root": tmp_path, "options": {"labelled": False}}
    splits = Splits(read="train")
    with pytest.raises(DataError, match=r"\(labelled=false\).*--option labelled=true.*--data folder --root DIR"):
        load_parts(own, splits, fit=False)
    moved = tmp_path.rename(tmp_path.with_name("labelled"))
    parts = load_parts(merged_data(own, name="folder", root=moved), splits, fit=False)
    assert parts.read.images.class_names == ("a", "b")
