"""The training step: what it computes in, what is compiled, where its time goes, and that it waits for no device."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from omegaconf import OmegaConf
from torch.utils._python_dispatch import TorchDispatchMode

import pal_plugin.train
from pal_plugin.devices import device_count
from pal_plugin.errors import ConfigError
from pal_plugin.host import load_checkpoint, parse_cfg
from pal_plugin.launch import compose
from pal_plugin.precision import fast_bfloat16, training_precision
from pal_plugin.profiling import StepProfiler
from pal_plugin.resume import differences
from pal_plugin.train import train

SMALL = [
    "profile=debug",
    "data.subset=64",
    "optimizer.batch_size=16",
    "max_epochs=1",
    "validation.enabled=false",
    "method_kwargs.proj_hidden_dim=16",
    "method_kwargs.proj_output_dim=8",
]
PREDICTOR = "method_kwargs.pred_hidden_dim=16"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("devices", "expected"),
    [(3, 3), ("3", 3), ([0, 2], 2), ("0,2", 2), ("1,", 1), ("auto", 1), (-1, 1), ("-1", 1)],
)
def test_devices_are_counted_as_lightning_reads_them(devices: Any, expected: int) -> None:
    cfg = compose("simclr", ["accelerator=cpu", "optimizer.batch_size=256"])
    cfg.devices = devices
    assert device_count(cfg) == expected
    assert parse_cfg(cfg).optimizer.lr == pytest.approx(cfg.optimizer.lr * expected)


def test_all_devices_are_those_of_the_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    cfg = OmegaConf.create({"devices": "auto"})  # a script of solo-learn's own may name no accelerator
    assert device_count(cfg) == 8
    cfg.accelerator = "cpu"
    assert device_count(cfg) == 1


@pytest.mark.parametrize("devices", ["many", "", "0;1"])
def test_devices_that_are_none(devices: str) -> None:
    with pytest.raises(ConfigError, match="devices is"):
        device_count(OmegaConf.create({"devices": devices}))


def test_precision_is_said_and_kept_by_a_resumed_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the run began on a machine whose `auto` is another."""
    run = [*SMALL, "precision=auto", f"run_dir={tmp_path / 'run'}"]
    train(compose("simclr", [*run, "checkpoint.every_n_steps=2"]))
    here = "bf16-mixed" if fast_bfloat16("cpu") else "32-true"
    assert training_precision(compose("simclr", run)) == here
    assert f"1 × cpu, {here} (what precision=auto means here), images channels_last" in capsys.readouterr().err
    checkpoint = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert checkpoint["precision"] == here
    checkpoint["precision"] = other = "32-true" if here == "bf16-mixed" else "bf16-mixed"
    torch.save(checkpoint, tmp_path / "run" / "last.ckpt")
    (tmp_path / "run" / "metrics.json").unlink()  # as of a run that has not ended
    train(compose("simclr", [*run, "checkpoint.every_n_steps=2", "resume=auto"]))
    assert f"1 × cpu, {other}" in capsys.readouterr().err


def test_checkpoints_from_before_there_was_the_option_go_on() -> None:
    now = {"config": {"seed": 0, "compile": None, "profiler": {"name": "steps"}}}
    assert not differences({"config": {"seed": 0}}, now)
    now["config"]["compile"] = True  # rounds in other places
    assert differences({"config": {"seed": 0}}, now) == ["compile: None → True"]


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for a device: reading a number, or a result whose size depends on the values."""

    names = ("_local_scalar_dense", "nonzero", "_unique2", "masked_select")

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.names:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


# PAL asks whether the batch graph has edges, since a loss without any is none, and numbers its blocks anew; AdaSSL
# whether a dimension of its latent blew up.
EXPECTED: dict[str, dict[str, int]] = {
    "gps_simclr": {},
    "gps_byol": {},
    "pal_simclr": {"_local_scalar_dense": 3, "_unique2": 3, "nonzero": 2},
    "adassl_simclr": {"_local_scalar_dense": 1},
}


@pytest.mark.parametrize("method", EXPECTED)
def test_a_step_waits_for_no_device(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the batch on the device to the moved teacher: with the optimiser, the logging and the callbacks."""
    steps: list[dict[str, int]] = []
    waits = Waits()

    class Begin(Callback):
        def on_train_batch_start(self, *arguments: Any) -> None:
            waits.found.clear()
            waits.__enter__()

    advance = _TrainingEpochLoop.advance

    def counted(loop: Any, fetcher: Any) -> None:
        advance(loop, fetcher)
        waits.__exit__(None, None, None)
        steps.append(dict(waits.found))

    monkeypatch.setattr(_TrainingEpochLoop, "advance", counted)
    make_trainer = pal_plugin.train.make_trainer

    def with_count(*arguments: Any, **keywords: Any) -> Any:
        trainer = make_trainer(*arguments, **keywords)
        trainer.callbacks.append(Begin())  # type: ignore[attr-defined]
        return trainer

    monkeypatch.setattr(pal_plugin.train, "make_trainer", with_count)
    # LARS: the Adams of PyTorch keep their step count on the CPU, and read it there
    optimizer = ["optimizer.name=lars", "optimizer.lr=0.01"]
    train(compose(method, [*SMALL, *optimizer, *([PREDICTOR] if "byol" in method else []), f"run_dir={tmp_path}"]))
    assert len(steps) >= 3
    assert steps[0] == EXPECTED[method]
    assert steps[2:3] == [EXPECTED[method]]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", ["gps_simclr", "gps_byol"])
def test_a_step_waits_for_no_gpu(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advance = _TrainingEpochLoop.advance

    def strict(loop: Any, fetcher: Any) -> None:
        torch.cuda.set_sync_debug_mode("error" if loop.batch_idx >= 1 else "default")
        try:
            advance(loop, fetcher)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(_TrainingEpochLoop, "advance", strict)
    predictor = [PREDICTOR] if "byol" in method else []
    train(compose(method, [*SMALL, *predictor, "accelerator=gpu", "precision=auto", f"run_dir={tmp_path}"]))


def test_a_compiled_run_is_the_same_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = [*SMALL, PREDICTOR, "momentum.base_tau=0.9"]
    plain = train(compose("byol", [*overrides, f"run_dir={tmp_path / 'plain'}"]))
    assert "compiling took" not in capsys.readouterr().err
    compiled = train(compose("byol", [*overrides, "compile=eager", f"run_dir={tmp_path / 'compiled'}"]))
    said = capsys.readouterr().err
    assert re.search(r"compiling took about [\d.]+ s: steps 1 and 2 took [\d.]+ s and [\d.]+ s", said)
    states = [load_checkpoint(tmp_path / name / "last.ckpt")["state_dict"] for name in ("plain", "compiled")]
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, msg=key)
    assert compiled["train_class_loss"] == pytest.approx(plain["train_class_loss"], rel=1e-4)


def test_ways_to_compile() -> None:
    module = torch.nn.Module()
    module.backbone = torch.nn.Linear(2, 2)
    for how in (None, False):
        pal_plugin.train.compile_backbones(module, how)
        assert module.backbone._compiled_call_impl is None
    with pytest.raises(ConfigError, match="reduce-overhead"):  # its CUDA graphs overwrite the other view's features
        pal_plugin.train.compile_backbones(module, "reduce-overhead")
    pal_plugin.train.compile_backbones(module, "aot_eager")
    assert module.backbone._compiled_call_impl is not None
    x = torch.ones(3, 2)
    torch.testing.assert_close(module.backbone(x), module.backbone.forward(x))


class Clock(Callback):
    """Takes the time from the end of one step to the end of the next within an epoch."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, float]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.ends.append((trainer.current_epoch, time.perf_counter()))


def test_the_shares_add_up_to_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, profilers = Clock(), []
    make_trainer = pal_plugin.train.make_trainer

    def with_clock(*arguments: Any, **keywords: Any) -> Any:
        trainer = make_trainer(*arguments, **keywords)
        trainer.callbacks.append(clock)  # type: ignore[attr-defined]
        profilers.append(keywords["profiler"])
        return trainer

    monkeypatch.setattr(pal_plugin.train, "make_trainer", with_clock)
    train(compose("byol", [*SMALL, PREDICTOR, "+profiler=steps", f"run_dir={tmp_path}"]))
    (profiler,) = profilers
    assert isinstance(profiler, StepProfiler)
    wall = [end - begun for (_, begun), (_, end) in zip(clock.ends[:-1], clock.ends[1:], strict=True)]
    means = profiler.means()
    assert profiler.steps == len(wall) == 3
    assert sum(means.values()) == pytest.approx(sum(wall) / len(wall), rel=0.05)
    assert all(means[phase] > 0 for phase in ("data", "forward", "loss", "backward", "optimiser", "teacher"))
    assert means["forward"] + means["backward"] > 0.5 * sum(means.values())
    said = capsys.readouterr().err
    shares = re.findall(r"^  \w+ +[\d.]+ ms +([\d.]+)%$", said, flags=re.MULTILINE)
    assert len(shares) == len(means)
    assert sum(map(float, shares)) == pytest.approx(100, abs=0.5)


def test_a_profiled_run_is_the_same_run(tmp_path: Path) -> None:
    overrides = [*SMALL, f"run_dir={tmp_path / 'run'}"]
    plain = train(compose("simclr", overrides))
    profiled = train(compose("simclr", [*SMALL, "+profiler=steps", f"run_dir={tmp_path / 'profiled'}"]))
    assert profiled["train_class_loss"] == plain["train_class_loss"]


def test_compiling_and_profiling_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(compose("simclr", [*SMALL, "compile=eager", "+profiler=steps", f"run_dir={tmp_path}"]))
    assert "where the time of a step goes, mean of 3" in capsys.readouterr().err
