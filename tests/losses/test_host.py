"""With the augmentation graph the losses are solo-learn's own; so they are with α = 0."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch

import pal_plugin.host.solo  # noqa: F401  imports solo-learn with the stand-ins that it needs
from pal_plugin.host.detect import host_info
from pal_plugin.losses import (
    BatchGraph,
    BlockGraph,
    augmentation_graph,
    graph_barlow_loss,
    graph_byol_loss,
    graph_simclr_loss,
    graph_vicreg_loss,
    interpolate,
)

BATCH, DIM = 32, 16


def host_loss(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"solo.losses.{module}"), name)


def views(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Two views of every sample, alike, and off the origin as the outputs of a network are."""
    generator = torch.Generator().manual_seed(0)
    first, noise = (torch.randn(BATCH, DIM, dtype=torch.float64, generator=generator) for _ in range(2))
    return (1.5 + torch.cat([first, first + 0.3 * noise])).to(dtype).requires_grad_()


def graphs() -> list[BatchGraph]:
    ssl = augmentation_graph(BATCH, 2)
    sup = BlockGraph([(1.0, torch.arange(2 * BATCH) % 5)])
    return [ssl, ssl.to_dense(), ssl.to_sparse(), interpolate(ssl, sup, 0.0)]


def assert_same(ours: torch.Tensor, hosts: torch.Tensor, z: torch.Tensor) -> None:
    torch.testing.assert_close(ours, hosts, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(torch.autograd.grad(ours, z), torch.autograd.grad(hosts, z), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("graph", graphs(), ids=lambda graph: type(graph).__name__)
def test_reductions(graph: BatchGraph, dtype: torch.dtype) -> None:
    z = views(dtype)
    first, second = z.chunk(2)
    vicreg, byol = host_loss("vicreg", "vicreg_loss_func"), host_loss("byol", "byol_loss_func")
    assert_same(graph_vicreg_loss(z, graph), vicreg(first, second), z)
    target = z.detach().flip(1)
    hosts = byol(first, target[BATCH:]) + byol(second, target[:BATCH])
    assert_same(graph_byol_loss(z, target, graph), hosts, z)
    if dtype == torch.float32:  # solo-learn's Barlow Twins takes nothing else
        barlow = host_loss("barlow", "barlow_loss_func")
        assert_same(graph_barlow_loss(z, graph, scale=0.1), barlow(first, second, scale_loss=0.1), z)
    nt_xent = host_loss("simclr", "simclr_loss_func")
    if host_info().kind == "release":
        hosts = nt_xent(first, second, temperature=0.2)
    else:  # the in-form, which is the same with one positive a row
        hosts = nt_xent(z, torch.arange(BATCH).repeat(2), temperature=0.2)
    assert_same(graph_simclr_loss(z, graph), hosts, z)


@pytest.mark.skipif(host_info().kind != "release", reason="main's loss is the in-form")
def test_more_positives_are_those_of_the_release() -> None:
    z, classes = views(), torch.arange(2 * BATCH) % 5
    first, second = z.chunk(2)
    extra = (classes[:, None] == classes).fill_diagonal_(False)
    hosts = host_loss("simclr", "simclr_loss_func")(first, second, temperature=0.2, extra_pos_mask=extra)
    either = augmentation_graph(BATCH, 2).to_dense().matrix.bool() | extra
    assert_same(graph_simclr_loss(z, either), hosts, z)
