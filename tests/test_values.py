"""Values of the wrong kind end as one paragraph before anything is fetched."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from pal_plugin.cli import main
from pal_plugin.errors import ConfigError
from pal_plugin.launch import compose
from pal_plugin.values import REAL, WHOLE, check_values


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("max_epochs=abc", "max_epochs is 'abc'. Set it to a whole number of 1 or more"),
        ("max_epochs=0", "max_epochs is 0"),
        ("seed=1.5", "seed is 1.5"),
        ("optimizer.lr=abc", "optimizer.lr is 'abc'. Set it to a number of 0 or more"),
        ("optimizer.lr=nan", "optimizer.lr is nan"),
        ("optimizer.batch_size=true", "optimizer.batch_size is True"),
        ("data.num_workers=-1", "data.num_workers is -1"),
        ("data.on_device=maybe", "data.on_device is 'maybe'"),
        ("graph.k=four", "graph.k is 'four'"),
        ("backbone.name=resnet19", "There is no backbone 'resnet19'. Choose another: did you mean resnet18"),
    ],
)
def test_refused(override: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config-name", "gps_simclr", "profile=debug", override]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("graph.seed=-1", "graph.seed is -1. Set it to a whole number of 0 or more"),
        ("graph.relations=x", "graph.relations is 'x'"),
        ("graph.noise=-0.1", "graph.noise is -0.1"),
    ],
)
def test_refused_of_an_oracle(override: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config-name", "pal_simclr", "profile=debug", override]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("profile", ["debug", "smoke", "cpu", "paper"])
@pytest.mark.parametrize("name", ["simclr", "gps_byol"])
def test_the_shipped_configs_pass(name: str, profile: str) -> None:
    check_values(compose(name, [f"profile={profile}"]))


def test_every_key_exists() -> None:
    configs = [compose("gps_simclr"), compose("pal_simclr"), compose("adassl_simclr", ["graph=factors"])]
    for key in [*WHOLE, *REAL]:
        parent, _, last = key.rpartition(".")
        assert any(last in (OmegaConf.select(cfg, parent) if parent else cfg) for cfg in configs), key


def test_an_override_that_hydra_cannot_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config-name", "gps_simclr", "graph.prior=pixels?side=32"]) == 2
    assert """quote it twice: 'graph.prior="pixels?side=32"'""" in capsys.readouterr().err


def test_a_value_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config-name", "gps_simclr", "profile=debug", "graph=pairs"]) == 2
    assert "needs graph.pairs. Add graph.pairs=" in capsys.readouterr().err


def test_ints_for_floats() -> None:
    cfg = compose("simclr", ["optimizer.lr=1"])
    check_values(cfg)
    cfg.optimizer.lr = -1
    with pytest.raises(ConfigError, match=r"optimizer\.lr is -1"):
        check_values(cfg)
