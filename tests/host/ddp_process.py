"""One rank of a gloo group, run by the tests in a process of its own.

`ARGS`: rank, port, method, cfg (plain containers), out. Rank 0 writes `{"state_dict", "gradients"}` to `out`.
"""

from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import OmegaConf
from torch.utils.data import DataLoader

from pal_plugin.data import Policy, load_digits, pair_loader
from pal_plugin.host import parse_cfg
from pal_plugin.methods import find_method

ARGS: dict[str, Any] = globals()["ARGS"]

rank = ARGS["rank"]
torch.manual_seed(0)
module = find_method(ARGS["method"])(parse_cfg(OmegaConf.create(ARGS["cfg"])))
policies = [Policy(crop_size=8, num_crops=2)]
loader: DataLoader[Any] = pair_loader(
    load_digits("train").subset(32, 0),
    policies,
    batch_size=8,
    seed=0,
    pair_batch=module.wants_pair_batch,
    rank=rank,
    world_size=2,
)
seen: list[int] = []
step = type(module).training_step


def remember(self: Any, batch: Any, batch_idx: int) -> Any:
    index = batch[0] if batch[0].ndim == 1 else batch[0][:, 0]
    seen.extend(index.tolist())
    return step(self, batch, batch_idx)


type(module).training_step = remember
trainer = Trainer(
    max_epochs=1,
    accelerator="cpu",
    devices=2,
    strategy=DDPStrategy(process_group_backend="gloo", find_unused_parameters=False),
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    use_distributed_sampler=False,
)
trainer.fit(module, loader)
torch.save({"state_dict": module.state_dict(), "seen": seen}, f"{ARGS['out']}.{rank}")
