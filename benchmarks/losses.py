"""The losses that take a graph against solo-learn's plain ones on the same batch, forward and backward.

Our times include making the batch's graph. Three graphs: `pal`, what the pal_* methods use (views of one sample, and
cliques of ten classes on a known tenth of the samples, as blocks); `all_known`, cliques on every sample; `sparse`, the
first one's edges as a sparse matrix. The spectral loss has no peer in solo-learn and is held against SimCLR's, whose
networks pal_spectral takes; VIC² is held against VICReg's.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

import pal_plugin.host.solo  # noqa: F401  imports solo-learn with the stand-ins that it needs
from benchmarks.timing import Spread, spreads
from pal_plugin.host.detect import host_info
from pal_plugin.losses import (
    BatchGraph,
    BlockGraph,
    SparseGraph,
    augmentation_graph,
    graph_barlow_loss,
    graph_byol_loss,
    graph_simclr_loss,
    graph_spectral_loss,
    graph_vic2_loss,
    graph_vicreg_loss,
    interpolate,
)

BATCHES = (256, 512, 1024, 2048, 4096)
DIM, VIEWS, CLASSES, KNOWN, ALPHA = 256, 2, 10, 0.1, 0.9
SECONDS = 4.0  # for one loss at one batch size

HostLoss = Callable[..., Tensor]
OurLoss = Callable[[Tensor, Tensor, BatchGraph], Tensor]


def run() -> dict[str, Any]:
    """Return `{loss: {"b256": {"host_ms", "pal_ms", …, "ratio_to_host", "all_known_ratio_to_host", …}}}`."""
    found: dict[str, Any] = {name: {} for name in LOSSES}
    for batch in BATCHES:
        z = torch.randn(VIEWS * batch, DIM, generator=torch.Generator().manual_seed(0)).requires_grad_()
        target = z.detach().flip(1).contiguous()
        graphs = _graphs(batch)
        for name, (ours, hosts) in LOSSES.items():
            contestants = {"host": partial(_host_step, hosts, z, target)}
            contestants |= {kind: partial(_our_step, ours, z, target, graph) for kind, graph in graphs.items()}
            times = spreads(contestants, seconds=SECONDS)
            found[name][f"b{batch}"] = _figures(times)
            _say(name, batch, found[name][f"b{batch}"], times)
    return found


def _host_step(loss: HostLoss, z: Tensor, target: Tensor) -> None:
    z.grad = None
    loss(z, target).backward()  # type: ignore[no-untyped-call]


def _our_step(loss: OurLoss, z: Tensor, target: Tensor, graph: Callable[[], BatchGraph]) -> None:
    z.grad = None
    loss(z, target, graph()).backward()  # type: ignore[no-untyped-call]


def _figures(times: dict[str, Spread]) -> dict[str, float]:
    figures = {f"{name}_ms": round(1000 * spread.median, 3) for name, spread in times.items()}
    host = times["host"].median
    figures["ratio_to_host"] = round(times["pal"].median / host, 3)
    for kind in ("all_known", "sparse"):
        figures[f"{kind}_ratio_to_host"] = round(times[kind].median / host, 3)
    return figures


def _say(name: str, batch: int, figures: dict[str, float], times: dict[str, Spread]) -> None:
    ratios = ", ".join(f"{kind} {figures[f'{kind}_ratio_to_host']:.2f}" for kind in ("all_known", "sparse"))
    print(f"{name:9} batch {batch:5}  host {figures['host_ms']:8.2f} ms  ×{figures['ratio_to_host']:.2f}  ({ratios})")
    print(f"{'':9} pal {times['pal']}, host {times['host']}")


def _graphs(batch: int) -> dict[str, Callable[[], BatchGraph]]:
    generator = torch.Generator().manual_seed(1)
    known = torch.randperm(batch, generator=generator)[: round(KNOWN * batch)]
    classes = torch.randint(CLASSES, (batch,), generator=generator)
    some = torch.full((batch,), -1).index_put((known,), classes[known])
    matrix = BlockGraph([(1.0, some.repeat(VIEWS))]).to_sparse().matrix

    def blocks(component: Tensor) -> BatchGraph:
        return interpolate(augmentation_graph(batch, VIEWS), BlockGraph([(1.0, component.repeat(VIEWS))]), ALPHA)

    return {
        "pal": lambda: blocks(some),
        "all_known": lambda: blocks(classes),
        "sparse": lambda: interpolate(augmentation_graph(batch, VIEWS), SparseGraph(matrix), ALPHA),
    }


def _host(module: str) -> HostLoss:
    loss: HostLoss = getattr(importlib.import_module(f"solo.losses.{module}"), f"{module}_loss_func")
    return loss


def _host_simclr(z: Tensor, target: Tensor) -> Tensor:
    first, second = z.chunk(2)
    if host_info().kind == "release":
        return _host("simclr")(first, second, temperature=0.2)
    return _host("simclr")(z, torch.arange(len(first)).repeat(2), temperature=0.2)


def _host_byol(p: Tensor, target: Tensor) -> Tensor:
    (p1, p2), (z1, z2) = p.chunk(2), target.chunk(2)
    return _host("byol")(p1, z2) + _host("byol")(p2, z1)


def _host_vicreg(z: Tensor, target: Tensor) -> Tensor:
    return _host("vicreg")(*z.chunk(2))


def _host_barlow(z: Tensor, target: Tensor) -> Tensor:
    return _host("barlow")(*z.chunk(2))


LOSSES: dict[str, tuple[OurLoss, HostLoss]] = {
    "simclr": (lambda z, target, graph: graph_simclr_loss(z, graph), _host_simclr),
    "byol": (lambda p, target, graph: graph_byol_loss(p, target, graph), _host_byol),
    "vicreg": (lambda z, target, graph: graph_vicreg_loss(z, graph), _host_vicreg),
    "barlow": (lambda z, target, graph: graph_barlow_loss(z, graph), _host_barlow),
    "spectral": (lambda z, target, graph: graph_spectral_loss(z, graph), _host_simclr),
    "vic2": (lambda z, target, graph: graph_vic2_loss(z, graph), _host_vicreg),
}
