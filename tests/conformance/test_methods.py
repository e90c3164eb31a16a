"""Every shipped method passes what third parties are asked to pass, and methods that are broken do not."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from pal_plugin import registry
from pal_plugin.host import METHODS
from pal_plugin.launch import compose, config_names
from pal_plugin.testing import MethodConformance

# networks of a size that trains in a second
SMALL = {"proj_hidden_dim": 64, "proj_output_dim": 8, "pred_hidden_dim": 64, "queue_size": 64, "whitening_size": 16}


@pytest.mark.slow
@pytest.mark.parametrize("name", config_names())
class TestMethods(MethodConformance):
    @pytest.fixture(autouse=True)
    def _name(self, name: str) -> None:
        self.name = name

    def config(self):
        kwargs = compose(self.name).method_kwargs
        return self.name, [f"method_kwargs.{key}={value}" for key, value in SMALL.items() if key in kwargs]


class Forgetful(METHODS["simclr"]):
    """Its loss depends on how often this object was asked, and on nothing in a checkpoint."""

    asked = 0

    def training_step(self, batch, batch_idx):
        self.asked += 1
        return self.asked * super().training_step(batch, batch_idx)


class Whimsical(METHODS["simclr"]):
    def training_step(self, batch, batch_idx):
        return (1 + os.urandom(1)[0]) * super().training_step(batch, batch_idx)


class Exploding(METHODS["simclr"]):
    def training_step(self, batch, batch_idx):
        return math.inf * super().training_step(batch, batch_idx)


class Idle(METHODS["simclr"]):
    """Learns nothing."""

    def training_step(self, batch, batch_idx):
        return 0 * super().training_step(batch, batch_idx)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "test"),
    [
        (Forgetful, "test_goes_on_where_it_stopped"),
        (Whimsical, "test_the_same_again"),
        (Exploding, "test_trains_with_finite_gradients"),
        (Idle, "test_trains_with_finite_gradients"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_broken_method_fails(method, test, tmp_path: Path) -> None:
    these = type("Broken", (MethodConformance,), {"config": lambda self: ("simclr", ["method=broken"])})()
    given = {"tmp_path": tmp_path} if test == "test_goes_on_where_it_stopped" else {}
    with registry.methods.holding("broken", method), pytest.raises(AssertionError):
        getattr(these, test)(**given)
