from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

import pal_plugin
from pal_plugin.commands.options import DATASETS
from pal_plugin.data import available_splits, dataset_from_config, load_dataset
from pal_plugin.data.sources import SOURCES
from pal_plugin.errors import ConfigError, DataError

CONFIGS = {path.stem: path for path in (Path(pal_plugin.__file__).parent / "conf" / "data").glob("*.yaml")}
KEYS = {
    "dataset",
    "num_classes",
    "crop_size",
    "root",
    "subset",
    "subset_seed",
    "val_fraction",
    "num_workers",
    "on_device",
    "options",
}


def digits(**changes) -> dict[str, object]:
    return {"dataset": "digits", "root": None, "subset": None, "subset_seed": 0, **changes}


def test_every_data_set_has_a_config_and_the_help_names_it():
    assert set(CONFIGS) == set(SOURCES)
    assert all(name in DATASETS for name in SOURCES)
    for name, path in CONFIGS.items():
        config = yaml.safe_load(path.read_text())
        assert config["dataset"] == name
        assert set(config) - {"quick"} == KEYS
        assert set(config["options"]) == SOURCES[name].options


def test_without_a_hold_out_it_is_load_dataset():
    assert available_splits(digits()) == ("train", "test")
    for split in ("train", "test"):
        assert dataset_from_config(digits(), split).manifest == load_dataset("digits", split).manifest
    held_out = r"no split 'val'.*train, test; --val-fraction 0\.1 \(pal train: data\.val_fraction"
    with pytest.raises(ConfigError, match=held_out):
        dataset_from_config(digits(), "val")
    with pytest.raises(ConfigError, match="no split 'vall'"):
        dataset_from_config(digits(val_fraction=0.1), "vall")


def test_hold_out_is_stratified_disjoint_and_complete():
    whole = load_dataset("digits", "train")
    config = digits(val_fraction=0.2)
    assert available_splits(config) == ("train", "val", "test")
    train, val, test = (dataset_from_config(config, split) for split in ("train", "val", "test"))
    assert (train.split, val.split) == ("train", "val")
    assert sorted(train.ids + val.ids) == sorted(whole.ids)
    assert len(val) == round(0.2 * len(whole))
    assert np.abs(np.bincount(val.labels) - 0.2 * np.bincount(whole.labels)).max() < 1
    assert test.manifest == load_dataset("digits", "test").manifest
    rows = [whole.ids.index(name) for name in train.ids]
    assert rows == sorted(rows)
    np.testing.assert_array_equal(train.images, whole.images[rows])


def test_subset_is_of_train_without_the_hold_out():
    config = digits(val_fraction=0.2, subset=100, subset_seed=3)
    train, val = dataset_from_config(config, "train"), dataset_from_config(config, "val")
    assert len(train) == 100
    assert not set(train.ids) & set(val.ids)
    assert train.ids == dataset_from_config(digits(val_fraction=0.2), "train").subset(100, 3).ids
    other = digits(val_fraction=0.2, subset=50, subset_seed=9)
    assert dataset_from_config(other, "val").ids == val.ids  # two subsets are measured on the same images
    assert len(dataset_from_config(digits(subset=10**6), "train")) == 1437


@pytest.mark.parametrize("share", [-0.1, 1.0, 1, "half", True, float("nan")])
def test_impossible_shares(share):
    with pytest.raises(ConfigError, match=r"data\.val_fraction is"):
        available_splits(digits(val_fraction=share))


def test_a_hold_out_that_leaves_nothing(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1, 2, 2, 3), np.uint8))
    with pytest.raises(DataError, match="leaves nothing"):
        dataset_from_config({"dataset": "arrays", "root": tmp_path / "x.npy", "val_fraction": 0.5}, "train")


def test_an_official_val_split_is_taken_as_it_is(tmp_path):
    images = np.zeros((4, 2, 2, 3), np.uint8)
    np.savez(tmp_path / "x.npz", train_images=images, val_images=images[:2])
    config = {"dataset": "arrays", "root": tmp_path / "x.npz", "val_fraction": 0.5}
    assert available_splits(config) == ("train", "val")
    assert (len(dataset_from_config(config, "train")), len(dataset_from_config(config, "val"))) == (4, 2)


def test_options_are_checked():
    with pytest.raises(ConfigError, match=r"digits has no option 'flag'.*Leave it out"):
        load_dataset("digits", "train", options={"flag": "x"})


def test_home_is_known_by_its_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "x.npy", np.zeros((3, 2, 2, 3), np.uint8))
    assert len(load_dataset("arrays", "train", root=Path("~/x.npy"))) == 3
