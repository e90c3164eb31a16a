"""What every method keeps to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from omegaconf import DictConfig

from pal_plugin.data import ImageDataset, Policy, load_digits, pair_loader
from pal_plugin.errors import PalError
from pal_plugin.graph import knn_graph
from pal_plugin.graph.relations import relations
from pal_plugin.host import parse_cfg
from pal_plugin.launch import compose
from pal_plugin.methods import find_method
from pal_plugin.oracle import oracle_graph


class _Gradients(Callback):
    """What the gradients of a training were."""

    def __init__(self) -> None:
        self.finite, self.reached = True, False

    def on_after_backward(self, trainer: Trainer, pl_module: Any) -> None:
        found = [p.grad for p in pl_module.backbone.parameters() if p.grad is not None]
        self.finite &= all(bool(torch.isfinite(grad).all()) for grad in found)
        self.reached |= any(bool(grad.any()) for grad in found)


class MethodConformance:
    """Tests of a method, by two steps on digits; derive from it and define `config`."""

    def config(self) -> tuple[str, Sequence[str]]:
        """Return the name of a config and overrides of it, such as `method=mine` and `method_kwargs.…`."""
        raise NotImplementedError

    def _cfg(self, *overrides: str) -> DictConfig:
        name, own = self.config()
        cfg = compose(name, ["profile=debug", "data.num_classes=10", *own, *overrides])
        parsed: DictConfig = parse_cfg(cfg)
        return parsed

    def _built(self) -> Any:
        cfg = self._cfg()
        seed_everything(0, verbose=False)
        return find_method(cfg.method)(cfg)

    def _dataset(self) -> ImageDataset:
        return load_digits("train").subset(32, 0)

    def _trained(self, module: Any) -> _Gradients:
        """Train two steps, on pairs of neighbours or, where it wants them, with relations that labels tell."""
        dataset = self._dataset()
        source: dict[str, Any] = {}
        if getattr(module, "wants_relations", False):
            told = oracle_graph(dataset.labels, 0.5, manifest=dataset.manifest)
            source = {"relations": relations(told), "related_share": 0.25}
        else:
            features = np.array(dataset.images).reshape(len(dataset), -1)
            source = {"graph": knn_graph(features, 4, manifest=dataset.manifest)}
        loader = pair_loader(
            dataset,
            [Policy(crop_size=8, num_crops=2)],
            batch_size=16,
            seed=0,
            pair_batch=module.wants_pair_batch,
            extra_views=module.extra_views,
            **source,
        )
        if "relations" in source:
            module.relate(source["relations"], loader.batch_sampler.composition)  # type: ignore[union-attr]
        gradients = _Gradients()
        trainer = Trainer(
            max_epochs=1,
            accelerator="cpu",
            callbacks=[gradients],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        seed_everything(1, verbose=False)
        trainer.fit(module, loader)
        return gradients

    def test_its_config_is_whole(self) -> None:
        """Every value that the method needs is there."""
        assert self._cfg().method

    def test_trains_with_finite_gradients(self) -> None:
        """Two steps move the backbone, and neither weights nor gradients are anything but finite."""
        module = self._built()
        before = {name: value.clone() for name, value in module.backbone.named_parameters()}
        gradients = self._trained(module)
        assert gradients.finite
        assert gradients.reached
        after = dict(module.backbone.named_parameters())
        assert all(torch.isfinite(value).all() for value in after.values())
        assert any(not torch.equal(before[name], after[name]) for name in before)

    def test_the_same_again(self) -> None:
        """Two trainings of one seed end with the same weights, bit for bit."""
        first, second = self._built(), self._built()
        self._trained(first)
        self._trained(second)
        theirs = second.state_dict()
        assert all(torch.equal(value, theirs[name]) for name, value in first.state_dict().items())

    def test_state_goes_round(self) -> None:
        """What was trained is whole in its state: another instance that takes it embeds the same."""
        first, second = self._built(), self._built()
        self._trained(first)
        second.load_state_dict(first.state_dict())
        images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            theirs, ours = (module.eval().backbone(images) for module in (first, second))
        torch.testing.assert_close(theirs, ours, rtol=0, atol=0)

    def test_a_value_that_cannot_be_is_named(self) -> None:
        """A backbone that does not exist ends in an error that says so, not in a network of another kind."""
        with pytest.raises((PalError, AssertionError, KeyError, ValueError)):
            find_method(self._cfg().method)(self._cfg("backbone.name=resnet0"))
