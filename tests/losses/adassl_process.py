"""One rank of a gloo group, run by test_adassl_ranks.py: `python adassl_process.py RANK WORLD FOLDER`.

Reads the pairs of all ranks from `FOLDER/data.pt`, and writes losses, gradients and β to `FOLDER/RANK.pt`. The names
above `main` are what the test runs in one process.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pal_plugin.losses.adassl import AnInfoNCE, BetaSchedule, HInfoNCE, InfoNCE, LearnableScale, adassl_info_nce

DIM = 4


class Edited(nn.Module):
    """Encoder, editor and λ. What it returns goes into the loss outside, as a method's would."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.editor, self.scale = nn.Linear(6, DIM), nn.Linear(DIM, DIM), LearnableScale()

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        x, y = self.encoder(x).tanh(), self.encoder(y).tanh()
        return self.editor(y), self.editor(x), x, y, self.scale()


class Baseline(nn.Module):
    """Encoder and a baseline with parameters of its own, called inside as DDP wants it."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.encoder, self.loss = nn.Linear(6, DIM), loss
        for parameter in loss.parameters():
            nn.init.normal_(parameter)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.loss(self.encoder(x).tanh(), self.encoder(y).tanh())  # type: ignore[no-any-return]


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "adassl": Edited,
    "InfoNCE": lambda: Baseline(InfoNCE()),
    "AnInfoNCE": lambda: Baseline(AnInfoNCE(DIM)),
    "HInfoNCE": lambda: Baseline(HInfoNCE(DIM, ())),  # without BatchNorm, which is each rank's own
}


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[name]().double()


def loss_of(out: Tensor | tuple[Tensor, ...]) -> Tensor:
    if isinstance(out, Tensor):
        return out
    *rows, scale = out
    return adassl_info_nce(*rows, temperature=0.02, scale=scale)  # a temperature at which logits are cut off


def main() -> None:
    rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    dist.init_process_group("gloo", init_method=f"file://{folder / 'group'}", rank=rank, world_size=world)
    data = torch.load(folder / "data.pt", weights_only=True)
    out: dict[str, object] = {}
    for name in NETWORKS:
        alone = network(name)
        module = DistributedDataParallel(alone)
        loss = loss_of(module(data["x"][rank], data["y"][rank]))
        loss.backward()
        out[name] = {"loss": loss.detach(), "gradients": [parameter.grad for parameter in alone.parameters()]}
    schedule = BetaSchedule(0.5, kl_target=2.0)
    for step, kl in enumerate(data["kl"][rank]):
        schedule(kl.clone().requires_grad_(), step)
    out["beta"] = schedule.at(9)
    torch.save(out, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
