"""One rank of a gloo group that evaluates, run by the tests in a process of its own.

`ARGS`: rank, world, port, out, and either overrides: a run of `pal train`; or cfg (plain containers), parts, labels:
validation alone, each rank on its own part of the test digits. Every rank writes its metrics to `out.rank`, and of a
run what the online k-NN held.
"""

import os
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import OmegaConf

from pal_plugin import train as running
from pal_plugin.data import eval_loader, load_digits
from pal_plugin.host import parse_cfg
from pal_plugin.host.online_knn import OnlineKNN
from pal_plugin.launch import compose
from pal_plugin.methods import find_method

ARGS: dict[str, Any] = globals()["ARGS"]

rank, out = ARGS["rank"], ARGS["out"]
held: dict[str, Any] = {}
if "overrides" in ARGS:
    os.environ["PAL_CACHE"] = f"{out}.cache.{rank}"
    compute = OnlineKNN.compute

    def remember(self: OnlineKNN) -> dict[str, float]:
        held.update(train=self._train.copy(), test=self._test.copy())
        return compute(self)

    OnlineKNN.compute = remember  # type: ignore[method-assign]
    metrics = running.train(compose("simclr", [*ARGS["overrides"], f"run_dir={out}.run.{rank}"]))
else:
    torch.manual_seed(0)
    module = find_method(ARGS["cfg"]["method"])(parse_cfg(OmegaConf.create(ARGS["cfg"])))
    digits = load_digits("test")
    digits.labels[: len(ARGS["labels"])] = ARGS["labels"]
    trainer = Trainer(
        accelerator="cpu",
        devices=ARGS["world"],
        strategy=DDPStrategy(process_group_backend="gloo"),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    (metrics,) = trainer.validate(module, eval_loader(digits.take(np.array(ARGS["parts"][rank]), "part"), 8))
torch.save({"metrics": metrics, **held}, f"{out}.{rank}")
