"""What every method keeps to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from omegaconf import DictConfig

from pal_plugin.data import ImageDataset, Policy, load_digits, pair_loader
from pal_plugin.errors import ConfigError, PalError
from pal_plugin.graph import knn_graph
from pal_plugin.graph.relations import relations
from pal_plugin.launch import compose
from pal_plugin.oracle import oracle_graph
from pal_plugin.train import build, train

BATCH = 16


class _Gradients(Callback):
    """What the gradients of a training were; and its state after the first epoch, where a file for that is named."""

    def __init__(self, after_one: Path | None) -> None:
        self.finite, self.reached = True, False
        self.after_one = after_one

    def on_after_backward(self, trainer: Trainer, pl_module: Any) -> None:
        found = [p.grad for p in pl_module.backbone.parameters() if p.grad is not None]
        self.finite &= all(bool(torch.isfinite(grad).all()) for grad in found)
        self.reached |= any(bool(grad.any()) for grad in found)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self.after_one is not None and trainer.current_epoch == 0:
            trainer.save_checkpoint(self.after_one)


class MethodConformance:
    """Tests of a method, by a few steps on digits in batches of 16; derive from it and define `config`."""

    def config(self) -> tuple[str, Sequence[str]]:
        """Return the name of a config and overrides of it, such as `method=mine` and `method_kwargs.…`."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _own_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))

    def _cfg(self, *overrides: str) -> DictConfig:
        name, own = self.config()
        small = ["profile=debug", "data.num_classes=10", f"optimizer.batch_size={BATCH}", "max_epochs=2"]
        return compose(name, [*small, *own, *overrides])

    def _dataset(self) -> ImageDataset:
        return load_digits("train").subset(2 * BATCH, 0)

    def _loader(self, module: Any) -> Any:
        """Return two batches: pairs of neighbours or, where the method wants them, relations that labels tell."""
        dataset = self._dataset()
        source: dict[str, Any] = {}
        if module.wants_relations:
            told = oracle_graph(dataset.labels, 0.5, manifest=dataset.manifest)
            source = {"relations": relations(told), "related_share": 0.25}
        else:
            features = np.array(dataset.images).reshape(len(dataset), -1)
            source = {"graph": knn_graph(features, 4, manifest=dataset.manifest)}
        loader = pair_loader(
            dataset,
            [Policy(crop_size=8, num_crops=2)],
            batch_size=BATCH,
            seed=0,
            pair_batch=module.wants_pair_batch,
            extra_views=module.extra_views,
            **source,
        )
        if "relations" in source:
            module.relate(source["relations"], loader.batch_sampler.composition)  # type: ignore[union-attr]
        return loader

    def _trained(
        self, *, epochs: int = 1, after_one: Path | None = None, resume: Path | None = None
    ) -> tuple[Any, _Gradients]:
        """Return a method that was trained, and what its gradients were."""
        module = build(self._cfg())
        gradients = _Gradients(after_one)
        trainer = Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            callbacks=[gradients],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        loader = self._loader(module)
        seed_everything(1, verbose=False)
        trainer.fit(module, loader, ckpt_path=resume, weights_only=True)
        return module, gradients

    def test_its_config_is_whole(self) -> None:
        """Every value that the method needs is there, and a method of that name builds from it."""
        assert build(self._cfg()).cfg.method == self._cfg().method

    def test_trains_with_finite_gradients(self) -> None:
        """Two steps move the backbone, and neither weights nor gradients are anything but finite."""
        before = build(self._cfg()).backbone.state_dict()
        module, gradients = self._trained(epochs=2)  # DeepCluster v2 learns nothing in the first
        assert gradients.finite
        assert gradients.reached
        after = dict(module.backbone.named_parameters())
        assert all(torch.isfinite(value).all() for value in after.values())
        assert any(not torch.equal(before[name], after[name]) for name in after)

    def test_the_same_again(self) -> None:
        """Two trainings of one seed end with the same weights, bit for bit."""
        _check_same(self._trained()[0], self._trained()[0])

    def test_goes_on_where_it_stopped(self, tmp_path: Path) -> None:
        """What training needs is in a checkpoint: another instance that takes it ends as if it had never stopped."""
        whole, _ = self._trained(epochs=2, after_one=tmp_path / "one.ckpt")
        resumed, _ = self._trained(epochs=2, resume=tmp_path / "one.ckpt")
        _check_same(whole, resumed)

    def test_a_value_that_cannot_be_is_named(self, tmp_path: Path) -> None:
        """No such backbone, and a word for any number of the method's, end in errors of ours, before training."""
        kwargs = self._cfg().method_kwargs.items()
        numbers = [key for key, value in kwargs if isinstance(value, (int, float)) and not isinstance(value, bool)]
        for wrong in ("backbone.name=resnet0", *(f"method_kwargs.{key}=many" for key in numbers)):
            with pytest.raises(PalError):
                train(self._cfg(wrong, f"run_dir={tmp_path}"))
        assert not (tmp_path / "last.ckpt").exists()

    def test_a_batch_that_lacks_a_view_is_named(self) -> None:
        """Such a batch comes of a loader that was not made for the method."""
        module = build(self._cfg())
        index, views, targets = next(iter(self._loader(module)))
        with pytest.raises(ConfigError, match="views"):
            module.training_step([index, views[:-1], targets], 0)


def _check_same(first: Any, second: Any) -> None:
    theirs = second.state_dict()
    differing = [name for name, value in first.state_dict().items() if not torch.equal(value, theirs[name])]
    assert not differing, f"{len(differing)} tensors differ, such as {differing[0]}"
