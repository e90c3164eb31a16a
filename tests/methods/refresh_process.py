"""One rank of a run with a refreshed graph, started by the tests in a process of its own.

`ARGS`: rank, port, overrides, out, fail. With `fail`, rank 0's network cannot embed, and the error that stops each rank
goes to `out/error.<rank>`. Writes `{"graphs": digest of each epoch, "statistics"}` to `out/rank.<rank>`.
"""

import os
from pathlib import Path
from typing import Any

import torch

from pal_plugin.datamodule import PairData
from pal_plugin.errors import PalError
from pal_plugin.launch import compose

ARGS: dict[str, Any] = globals()["ARGS"]

rank = ARGS["rank"]
os.environ["PAL_CACHE"] = f"{ARGS['out']}/cache.{rank}"
graphs: list[str] = []
statistics: list[torch.Tensor] = []
loader, refresh = PairData.train_dataloader, PairData.refresh


def remember(data: PairData) -> Any:
    assert data.graph is not None
    graphs.append(data.graph.digest)
    return loader(data)


def look(data: PairData, backbone: Any) -> float:
    statistics.append(backbone.bn1.running_mean.clone())
    if ARGS["fail"] and rank == 0:
        backbone.avgpool = torch.nn.Identity()
        backbone.fc = torch.nn.Unflatten(1, (-1, 1))  # (B, D, 1): no features
    return refresh(data, backbone)


PairData.train_dataloader = remember  # type: ignore[method-assign]
PairData.refresh = look  # type: ignore[method-assign]

from pal_plugin.train import train  # noqa: E402

try:
    train(compose("gps_simclr", [*ARGS["overrides"], f"run_dir={ARGS['out']}/run.{rank}"]))
except PalError as error:
    Path(f"{ARGS['out']}/error.{rank}").write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
    raise
torch.save({"graphs": graphs, "statistics": statistics[0]}, f"{ARGS['out']}/rank.{rank}")
