"""A training step of ours, as `pal train` takes it by default, against solo-learn's own on the same views.

Both are of one method, ResNet-18 with the CIFAR stem and the papers' LARS, and neither loads data or logs. Ours: the
precision and layout that are chosen for this machine, LARS and teacher for all tensors together. Solo-learn's: its own
class in float32 and contiguous tensors, its own LARS and its teacher's loop over the parameters.

Steps take seconds: there are few rounds. `PAL_BENCH_BATCH` sets another batch than 256.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from benchmarks.timing import medians
from pal_plugin.host import parse_cfg
from pal_plugin.host.config import plain
from pal_plugin.host.optim import make_optimizer
from pal_plugin.host.release import release_arguments
from pal_plugin.host.solo import INFO, SOLO_METHODS
from pal_plugin.host.teacher import move_teacher
from pal_plugin.launch import compose
from pal_plugin.precision import training_precision
from pal_plugin.train import build

METHODS = ("simclr", "byol")
BATCH = "PAL_BENCH_BATCH"
ROUNDS = 3

Step = Callable[[], None]


def run() -> dict[str, Any]:
    """Return `{method: {"ratio_vs_solo_learn", "s", "solo_learn_s"}, "batch", "precision"}`."""
    batch = int(os.environ.get(BATCH, "256"))
    found: dict[str, Any] = {"batch": batch}
    for method in METHODS:
        cfg = compose(method, ["profile=paper", "accelerator=cpu", f"optimizer.batch_size={batch}"])
        views = [torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(view)) for view in range(2)]
        labels = torch.arange(batch) % cfg.data.num_classes
        sample = [torch.arange(batch), views, labels]
        found["precision"] = training_precision(cfg)
        steps = {"pal": our_step(cfg, sample), "solo_learn": solo_learns_step(cfg, sample)}
        times = medians(steps, seconds=0.0, least=ROUNDS)
        ratio = times["solo_learn"] / times["pal"]
        found[method] = {"ratio_vs_solo_learn": ratio, "s": times["pal"], "solo_learn_s": times["solo_learn"]}
        found[method] = {name: round(value, 3) for name, value in found[method].items()}
        print(f"{method:7} batch {batch}  " + ", ".join(f"{k} {v}" for k, v in found[method].items()), flush=True)
    return found


def our_step(cfg: DictConfig, batch: list[Any]) -> Step:
    """Return one step of ours: forward, backward, optimiser, teacher."""
    module = build(cfg)
    module.log_dict = module.log = _log_nothing
    optimizer, _ = make_optimizer(
        cfg.optimizer.name,
        module.learnable_params,
        lr=module.lr,
        weight_decay=module.weight_decay,
        exclude_bias_n_norm_wd=cfg.optimizer.exclude_bias_n_norm_wd,
        **plain(cfg.optimizer.kwargs),
    )
    mixed = training_precision(cfg) == "bf16-mixed"

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed, cache_enabled=False):  # as Lightning does
            loss: Tensor = module.training_step(batch, 0)
        _descend(loss, optimizer)
        if hasattr(module, "momentum_pairs"):
            move_teacher(module.momentum_pairs, module.momentum_updater.cur_tau)

    return step


def solo_learns_step(cfg: DictConfig, batch: list[Any]) -> Step:
    """Return one step of the installed solo-learn's own class, optimiser and teacher's loop."""
    module: Any = _solo_learns_module(parse_cfg(cfg))
    module.log_dict = module.log = _log_nothing
    optimizer = module.configure_optimizers()

    def step() -> None:
        _descend(module.training_step(batch, 0), optimizer)
        for student, teacher in getattr(module, "momentum_pairs", ()):
            module.momentum_updater.update(student, teacher)

    return step


def _solo_learns_module(cfg: DictConfig) -> Any:
    OmegaConf.set_struct(cfg, False)
    cfg.scheduler.name = "none"  # its optimiser alone
    solo_class: Any = SOLO_METHODS[cfg.method]
    if INFO.kind == "main":
        cfg.performance.disable_channel_last = True
        return solo_class(cfg)
    lars = cfg.optimizer.kwargs
    cfg.backbone.kwargs = {"cifar": True}
    arguments = release_arguments(solo_class, cfg.method, cfg)
    arguments |= {"optimizer": "sgd", "lars": True, "extra_optimizer_args": {"momentum": lars.momentum}}
    arguments |= {"eta_lars": lars.eta, "grad_clip_lars": lars.clip_lr, "exclude_bias_n_norm": lars.exclude_bias_n_norm}
    return solo_class(**arguments)


def _descend(loss: Tensor, optimizer: Any) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _log_nothing(*arguments: Any, **keywords: Any) -> None:
    """Stand in for Lightning's logging, which needs a trainer."""
