"""Stage `adassl_numerical`: one method on pairs with known factors, trained and read.

The paper's own numerical experiment was not to be had; the pairs are ours (see `generator`).
"""

from __future__ import annotations

import itertools
import time

import torch
from threadpoolctl import threadpool_limits
from torch import nn

from pal_plugin.errors import ConfigError
from pal_plugin.io import write_json
from pal_plugin.progress import progress
from reproductions.adassl.generator import CONTENT, FACTORS, World, factors
from reproductions.adassl.names import PAPER
from reproductions.adassl.numerical_cells import BETAS, NONE, Cell, grid, result
from reproductions.adassl.objectives import Objective, mean_monitor, objective
from reproductions.adassl.readouts import Sample, matched_correlations, ridge_r2
from reproductions.provenance import provenance
from reproductions.stage import run

# After 1000 steps InfoNCE still reads more content than AdaSSL-V; it loses it as training goes on.
STEPS = {"debug": 20, "smoke": 2000, "cpu": 3000, "paper": 3000}
BATCH, LEARNING_RATE, GRADIENT_NORM = 256, 1e-3, 1.0
HIDDEN, DIM = 128, 16
BULK = 100  # batches drawn at once
FIT, TEST = 20_000, 10_000
WIDER = 2.0  # standard deviation of the factors out of distribution; in it 1
MONITORED = 8  # batches


def main(profile: str, cell: str, seed: int) -> None:
    """Train one cell with one seed on one thread, and read its encoder."""
    setting = parse(profile, cell)
    begun = time.monotonic()
    torch.set_num_threads(1)  # more make networks of this size slower
    with threadpool_limits(1):
        world = World(seed)
        encoder, learnt, loss = train(world, setting, seed, STEPS[profile])
        trained = time.monotonic() - begun
        metrics = read(world, encoder, seed)
    content = {
        "paper": PAPER,
        "profile": profile,
        **setting._asdict(),
        "beta": setting.beta,
        "seed": seed,
        "steps": STEPS[profile],
        "metrics": metrics,
        "untrained": read(world, make_encoder(seed), seed),
        "train_loss": round(loss, 4),
        "monitor": monitor(world, encoder, learnt, seed),
        "train_s": round(trained, 1),
        "wall_s": round(time.monotonic() - begun, 1),
        **provenance(gpu=False),
    }
    write_json(result(profile, setting, seed), content)


def parse(profile: str, cell: str) -> Cell:
    """Return the cell called `cell`.

    Raises:
        ConfigError: there is no such cell or profile.
    """
    try:
        if profile not in STEPS:
            raise ValueError(f"no profile {profile!r}")
        return Cell.parse(cell)
    except ValueError as error:
        raise ConfigError(
            f"There is no cell {cell!r} of profile {profile!r}: {error}",
            f"Pass --profile {' | '.join(STEPS)} and --cell METHOD-TEMPERATURE-CLAMP, for example {grid()[0].name}; "
            f"methods are {', '.join(BETAS)}, a clamp is a number or {NONE}",
        ) from error


def make_encoder(seed: int) -> nn.Sequential:
    """Return the encoder 10 → 128 → 128 → 128 → 16 as it is before training: the same for all methods of a seed."""
    torch.manual_seed(seed)
    widths = [FACTORS, HIDDEN, HIDDEN, HIDDEN]
    layers: list[nn.Module] = []
    for wide, narrow in itertools.pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, DIM))


def train(world: World, cell: Cell, seed: int, steps: int) -> tuple[nn.Sequential, Objective, float]:
    """Return encoder and loss with what it learnt after `steps` steps, and its last value.

    Methods of one seed see the same batches, each of new pairs.
    """
    encoder = make_encoder(seed)
    learnt = objective(cell, DIM, FACTORS, (HIDDEN,))
    parameters = [*encoder.parameters(), *learnt.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rng = draws(seed, "train")
    loss = torch.tensor(0.0)
    for step in progress(range(steps), cell.name):
        if step % BULK == 0:
            bulk = [torch.split(part, BATCH) for part in world.pairs(BULK * BATCH, rng)]
        x, y, difference = (part[step % BULK] for part in bulk)
        loss = learnt(*encoder(torch.cat([x, y])).chunk(2), difference, step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM)
        optimizer.step()
        schedule.step()
    return encoder, learnt, float(loss.detach())


@torch.no_grad()
def read(world: World, encoder: nn.Module, seed: int) -> dict[str, dict[str, float]]:
    """Return R² of content and style and the MCC, in and out of distribution.

    Out of distribution (ours) the factors are N(0, 2²·I), through the same mixing. Readouts are fitted, and dimensions
    matched to factors, in distribution.
    """
    rng = draws(seed, "read")

    def sample(count: int, std: float = 1.0) -> Sample:
        z = factors(count, rng, std)
        return Sample(encoder(world.mix(z)).numpy(), z.numpy())

    fit, tests = sample(FIT), {"in": sample(TEST), "out": sample(TEST, WIDER)}
    rows = list(tests.values())
    scores = zip(tests, ridge_r2(fit, rows), matched_correlations(fit, rows), strict=True)
    return {
        name: {
            "content": round(float(r2[:CONTENT].mean()), 4),
            "style": round(float(r2[CONTENT:].mean()), 4),
            "mcc": round(float(mcc.mean()), 4),
        }
        for name, r2, mcc in scores
    }


@torch.no_grad()
def monitor(world: World, encoder: nn.Module, learnt: Objective, seed: int) -> dict[str, float]:
    """Return the means over new batches of what `Objective.monitor` returns, in evaluation mode."""
    learnt.eval()
    rng = draws(seed, "monitor")
    batches = (world.pairs(BATCH, rng) for _ in range(MONITORED))
    return mean_monitor([learnt.monitor(encoder(x), encoder(y), difference) for x, y, difference in batches])


def draws(seed: int, purpose: str) -> torch.Generator:
    """Return a generator of its own for each purpose of a seed."""
    return torch.Generator().manual_seed(1 + 10 * seed + ["train", "read", "monitor"].index(purpose))


if __name__ == "__main__":
    run(main, "profile", "cell", "seed")
