"""Features on disk: what is written is read, and nothing that is broken or of another data set."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from pal_plugin.data.manifest import Manifest
from pal_plugin.errors import FeatureError, ManifestError
from pal_plugin.priors import load_features, save_features

MANIFEST = Manifest("points", "train", tuple(map(str, range(20))), "0123")
OTHER = Manifest("points", "train", tuple(map(str, range(20))), "4567")
INFO = {"prior": "pixels", "key": "k"}


def example(seed=0):
    return np.random.default_rng(seed).standard_normal((20, 6)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    save_features(tmp_path / "features", example(), MANIFEST, INFO)
    return tmp_path / "features"


def test_round_trip(folder):
    for path in (folder, str(folder), folder / "features.npy"):
        store = load_features(path, MANIFEST)
        assert np.array_equal(store.features, example())
        assert isinstance(store.features.base, np.memmap)
        assert store.manifest_reference == MANIFEST.reference()
        assert store.info == INFO
    assert [p.name for p in folder.parent.iterdir()] == ["features"]


def test_the_same_features_give_the_same_bytes(folder, tmp_path):
    save_features(tmp_path / "again", example(), MANIFEST, INFO)
    for name in ("features.npy", "features.json"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_mistyped_path_names_the_features_beside_it(folder):
    mistyped = folder.with_name("featurse")
    with pytest.raises(FeatureError, match=f"There are no features at {mistyped}. Did you mean {folder.name}[?]"):
        load_features(mistyped)
    np.save(folder.with_name("points.npy"), example())
    with pytest.raises(FeatureError, match=r"no features at .*point\.npy\. Did you mean points\.npy\?"):
        load_features(folder.with_name("point.npy"))
    with pytest.raises(FeatureError, match=r"is no feature store: there is no features\.json in it"):
        load_features(folder.parent)


def test_any_memory_layout_is_written_in_rows(tmp_path):
    store = save_features(tmp_path / "features", np.asfortranarray(example()), MANIFEST, INFO)
    assert np.array_equal(store.features, example())
    assert store.features.flags.c_contiguous


def test_features_of_another_data_set_are_refused(folder):
    with pytest.raises(ManifestError) as caught:
        load_features(folder, OTHER)
    assert str(folder) in str(caught.value)
    assert "pal embed" in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_not_finite_is_named(folder, value):
    features = example()
    features[[7, 9], 3] = value
    with pytest.raises(FeatureError, match="row 7"):
        save_features(folder, features, MANIFEST, INFO)
    assert np.array_equal(load_features(folder).features, example())
    np.save(folder / "features.npy", features)
    with pytest.raises(FeatureError, match="row 7"):
        load_features(folder)


@pytest.mark.parametrize(
    "features",
    [example().astype(np.float64), example()[0], example()[:, :0], example()[:-1], np.ones((20, 6), dtype=np.int32)],
)
def test_other_shapes_and_types_are_not_written(tmp_path, features):
    with pytest.raises(FeatureError):
        save_features(tmp_path / "features", features, MANIFEST, INFO)
    assert list(tmp_path.iterdir()) == []


def rewrite(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


CORRUPTIONS = {
    "no features.json": lambda f: (f / "features.json").unlink(),
    "half a features.json": lambda f: (f / "features.json").write_text('{"format":'),
    "no features.npy": lambda f: (f / "features.npy").unlink(),
    "truncated": lambda f: (f / "features.npy").write_bytes((f / "features.npy").read_bytes()[:-1]),
    "wrong dtype": lambda f: np.save(f / "features.npy", example().astype(np.float64)),
    "wrong shape": lambda f: np.save(f / "features.npy", example()[:-1]),
    "unknown format": lambda f: rewrite(f / "features.json", format=7),
    "no manifest": lambda f: rewrite(f / "features.json", manifest=None),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_broken_folder_is_named_with_its_remedy(folder, corruption):
    CORRUPTIONS[corruption](folder)
    with pytest.raises(FeatureError) as caught:
        load_features(folder, MANIFEST)
    assert str(folder) in caught.value.what
    assert "pal embed" in caught.value.mend


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_bare_npy_is_taken_by_its_rows_with_a_warning(tmp_path, kind):
    path = tmp_path / "mine.npy"
    np.save(path, example().astype(kind))
    with pytest.warns(UserWarning, match="names no data set"):
        store = load_features(path, MANIFEST)
    assert np.array_equal(store.features, example().astype(kind).astype(np.float32))
    assert store.manifest_reference == {}


def test_a_bare_npy_that_does_not_fit(tmp_path):
    path = tmp_path / "mine.npy"
    with pytest.raises(FeatureError, match=r"mine\.npy"):
        load_features(path)
    np.save(path, example()[:-1])
    with pytest.raises(ManifestError, match="19 rows"):
        load_features(path, MANIFEST)
    np.save(path, np.ones((20, 6), dtype=np.int64))
    with pytest.raises(FeatureError, match="int64"):
        load_features(path, MANIFEST)
    beyond = example().astype(np.float64)
    beyond[4, 4] = 1e200
    np.save(path, beyond)
    with pytest.raises(FeatureError, match="row 4"):
        load_features(path, MANIFEST)


def test_another_folder_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FeatureError, match="other files"):
        save_features(tmp_path, example(), MANIFEST, INFO)
    assert (tmp_path / "thesis.tex").exists()


FULL_DISK = """
import resource, signal, sys
import numpy as np
from pal_plugin.data.manifest import Manifest
from pal_plugin.errors import FeatureError
from pal_plugin.priors import save_features
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    save_features(sys.argv[1], np.ones((20, 6), dtype=np.float32), Manifest("x", "train", tuple("x" * 20), ""), {})
except FeatureError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.parametrize("limit", [100, 300])
def test_a_full_disk_leaves_the_old_features_and_nothing_else(folder, limit):
    command = [sys.executable, "-c", FULL_DISK, str(folder), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2, done.stderr
    assert "Free some space" in done.stdout
    assert np.array_equal(load_features(folder, MANIFEST).features, example())
    assert [p.name for p in folder.parent.iterdir()] == ["features"]


def test_features_are_read_without_torch():
    heavy = "('torch', 'timm', 'faiss', 'lightning', 'pal_plugin.data')"
    code = f"import sys, pal_plugin.priors; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "[]", done.stderr
