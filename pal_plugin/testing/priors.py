"""What every prior keeps to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pal_plugin.data import ImageDataset
from pal_plugin.errors import FeatureError
from pal_plugin.priors import embed, load_features, make_prior, ready
from pal_plugin.priors.base import AnyPrior


class PriorConformance:
    """Tests of a prior; derive from it and define `make`."""

    def make(self) -> str | AnyPrior:
        """Return the prior, or its spec."""
        raise NotImplementedError

    def dataset(self, size: int = 24) -> ImageDataset:
        """Return images of 32 × 32 of noise and edges, so that no two are alike."""
        random = np.random.default_rng(0)
        noise = random.integers(0, 256, (size, 8, 8, 3))
        return ImageDataset(
            name="conformance",
            split="train",
            images=np.kron(noise, np.ones((1, 4, 4, 1))).astype(np.uint8),
            labels=np.arange(size) % 3,
            ids=tuple(f"image-{number}" for number in range(size)),
            class_names=("a", "b", "c"),
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
        )

    def _ready(self, dataset: ImageDataset) -> Any:
        return ready(make_prior(self.make()), dataset)

    def test_a_row_an_image(self) -> None:
        """(B, H, W, 3) uint8 to (B, D) float32, finite, and not the same for all."""
        dataset = self.dataset()
        rows = self._ready(dataset).embed(dataset.images)
        assert rows.dtype == np.float32
        assert rows.shape[0] == len(dataset)
        assert rows.ndim == 2
        assert np.isfinite(rows).all()
        assert len(np.unique(rows, axis=0)) == len(dataset)

    def test_the_same_again(self) -> None:
        """Two priors that are made alike have one key and give the same features."""
        dataset = self.dataset()
        first, second = self._ready(dataset), self._ready(dataset)
        assert first.key == second.key
        assert first.name == second.name
        np.testing.assert_array_equal(first.embed(dataset.images), second.embed(dataset.images))

    def test_an_image_does_not_depend_on_its_batch(self) -> None:
        """Alone or among others, up to rounding: an embedding that was stopped goes on with other batches."""
        dataset = self.dataset()
        prior = self._ready(dataset)
        together = prior.embed(dataset.images)
        alone = np.concatenate([prior.embed(dataset.images[row : row + 1]) for row in range(6)])
        scale = np.abs(together).max()
        np.testing.assert_allclose(alone, together[:6], rtol=0, atol=2e-2 * scale)

    def test_given_images_are_not_changed(self) -> None:
        """Images may be read-only."""
        dataset = self.dataset()
        images = np.array(dataset.images)
        images.flags.writeable = False
        self._ready(dataset).embed(images)
        np.testing.assert_array_equal(images, dataset.images)

    def test_features_are_kept_and_found_again(self, tmp_path: Path) -> None:
        """A store of its features is read back as it was written, and refused where a value is not finite."""
        dataset = self.dataset()
        written = embed(dataset, self._ready(dataset), out=tmp_path / "features")
        np.testing.assert_array_equal(load_features(tmp_path / "features", dataset.manifest).features, written.features)
        rows = np.load(tmp_path / "features" / "features.npy")
        rows[3, 0] = np.nan
        np.save(tmp_path / "bad.npy", rows)
        with pytest.raises(FeatureError, match="row 3"):
            load_features(tmp_path / "bad.npy")
