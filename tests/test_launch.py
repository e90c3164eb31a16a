"""What a Hydra sweeper is given to optimise: never the test split."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hydra.core.plugins import Plugins
from hydra.core.utils import run_job
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from pal_plugin.errors import ConfigError
from pal_plugin.launch import main, objective

SMALL = [
    "profile=debug",
    "data.subset=64",
    "optimizer.batch_size=16",
    "max_epochs=1",
    "method_kwargs.proj_hidden_dim=16",
    "method_kwargs.proj_output_dim=8",
]


class Optimiser(Sweeper):
    """Runs one job and keeps what it was given to optimise."""

    given: list[Any]

    def __init__(self, **options: Any) -> None:
        """Take the options of Hydra's own sweeper, whose config this one is put into."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.context, self.task = config, hydra_context, task_function

    def sweep(self, arguments: list[str]) -> None:
        cfg = self.context.config_loader.load_sweep_config(self.config, arguments)
        with open_dict(cfg):
            cfg.hydra.job.id, cfg.hydra.job.num = "0", 0
        done = run_job(
            hydra_context=self.context,
            task_function=self.task,
            config=cfg,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        type(self).given.append(done.return_value)


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a sweep of one job by an optimiser, and return what that was given."""
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    module = ModuleType("hydra_plugins.tested")  # Hydra takes sweepers from this package only
    monkeypatch.setattr(module, "Optimiser", Optimiser, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(Optimiser, "__module__", module.__name__)
    monkeypatch.setattr(Optimiser, "given", [], raising=False)
    Plugins.instance().register(Optimiser)

    def run(overrides: Sequence[str]) -> Any:
        sweeper = "hydra.sweeper._target_=hydra_plugins.tested.Optimiser"
        main(["--config-name", "simclr", "--multirun", sweeper, f"run_dir={tmp_path / 'run'}", *SMALL, *overrides])
        return Optimiser.given.pop()

    return run


def test_a_sweep_is_given_the_val_split(sweep: Any, capsys: pytest.CaptureFixture[str]) -> None:
    value = sweep(["++data.val_fraction=0.2"])
    assert 0 <= value <= 100
    assert "nothing to optimise" not in capsys.readouterr().err


def test_a_sweep_is_not_given_the_test_split(sweep: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep([]) is None
    assert "nothing to optimise: the online probe was read on the test split" in capsys.readouterr().err
    assert sweep(["++data.val_fraction=0.2", "validation.enabled=false"]) is None
    assert "nothing to optimise: the online probe was read on no images" in capsys.readouterr().err


def test_a_run_of_its_own_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    cfg = DictConfig({"data": {"dataset": "digits", "root": None}})
    assert objective(cfg, {"val_acc1": 50.0}) is None
    assert objective(DictConfig({"data": {**cfg.data, "val_fraction": 0.2}}), {"val_acc1": 50.0}) == 50
    assert objective(DictConfig({"data": {**cfg.data, "val_fraction": 0.2}}), {"val_acc1": None}) is None
    assert capsys.readouterr().err == ""


def test_a_sweep_on_several_devices_is_not_begun_by_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("LOCAL_RANK", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"every process go through all runs.*torchrun or srun"):
        main(["--config-name", "simclr", "--multirun", "seed=0,1", "devices=2", "strategy=ddp", *SMALL])
    assert not list(tmp_path.rglob("metrics.json"))
