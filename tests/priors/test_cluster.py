"""Embedding on a Ray cluster of this machine gives the store that plain embedding gives."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from pal_plugin.data.digits import load_digits
from pal_plugin.errors import ConfigError, DataError
from pal_plugin.priors import embed, make_prior


@pytest.fixture(scope="module")
def cluster():
    """Two cores, whatever this machine has."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["pixels", "pca:8"])
def test_the_same_store(cluster, spec, tmp_path):
    dataset = load_digits("test")
    prior = make_prior(spec)
    plain = embed(dataset, prior, out=tmp_path / "plain", batch_size=100)
    found = embed(dataset, prior, out=tmp_path / "ray", batch_size=100, engine="ray")
    assert len(dataset) % 100  # the last batch is smaller
    np.testing.assert_allclose(found.features, plain.features, rtol=0, atol=1e-5)  # threads may change a sum's order
    assert (found.manifest_reference, found.info) == (plain.manifest_reference, plain.info)
    assert sorted(p.name for p in (tmp_path / "ray").iterdir()) == ["features.json", "features.npy"]
    if spec == "pixels":
        assert (tmp_path / "ray" / "features.npy").read_bytes() == (tmp_path / "plain" / "features.npy").read_bytes()


@pytest.mark.slow
def test_an_error_of_the_prior_arrives_and_the_rows_before_it_are_kept(cluster, tmp_path):
    class Fails:  # defined here, so that it travels by value: the cluster cannot import this file
        name = key = "fails"

        def embed(self, images):
            if len(images) < 100:  # the last batch
                raise DataError("An image is broken", "Repair it")
            return np.zeros((len(images), 2), np.float32)

    dataset = load_digits("test")
    with pytest.raises(DataError, match="An image is broken"):
        embed(dataset, Fails(), out=tmp_path / "ray", batch_size=100, engine="ray")
    assert cluster.is_initialized()  # it was not ours to stop
    assert (tmp_path / ".ray.partial" / "features.npy").exists()


def test_without_ray(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'pal-plugin\[ray\]'"):
        embed(load_digits("test"), make_prior("pixels"), out=tmp_path / "x", engine="ray")
    with pytest.raises(ConfigError, match="did you mean ray"):
        embed(load_digits("test"), make_prior("pixels"), out=tmp_path / "x", engine="rey")
