"""Stage `pal_oracle`: an oracle is asked, a network trained on its answers, and so on; accuracy against questions.

Ours: the paper's image experiments were not to be had, and component-merging is not in it.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from pal_plugin.data import dataset_from_config
from pal_plugin.io import atomic_folder, write_json
from pal_plugin.launch import compose
from pal_plugin.oracle.store import RelationStore
from pal_plugin.priors import embed, make_prior
from pal_plugin.rounds import Settings, rounds
from pal_plugin.rounds.training import training_config
from pal_plugin.train import METRICS, MODEL
from reproductions.layout import scratch
from reproductions.pal.images_cells import AUGMENTATION, EPOCHS, SHARE
from reproductions.pal.names import PAPER
from reproductions.pal.oracle_cells import GRID, POLICY, SPACE, OracleCell, result, run_folder
from reproductions.provenance import provenance
from reproductions.stage import named, run

METHOD = "pal_simclr"


def main(profile: str, cell: str, seed: int) -> None:
    """Ask and train one cell with one seed."""
    begun = time.monotonic()
    setting = named(OracleCell.parse, cell, "active-0, STRATEGY-NOISE")
    work = scratch(profile, PAPER) / f"oracle-{setting.name}-{seed}"
    settings = settings_of(profile, setting, seed, work)
    points = rounds(settings)
    content = {
        "paper": PAPER,
        "profile": profile,
        "method": METHOD,
        "seed": seed,
        "data": settings.data["dataset"],
        **setting._asdict(),
        "grid": GRID,
        "policy": POLICY,
        "space": SPACE,
        "curve": [point.row() for point in points],
        "wall_s": round(time.monotonic() - begun, 1),
        **provenance(),
    }
    keep(settings, len(points) - 1, run_folder(profile, setting, seed))
    write_json(result(profile, setting, seed), content)
    shutil.rmtree(work)  # finished: when DVC runs this stage again, it is to ask and to train


def settings_of(profile: str, cell: OracleCell, seed: int, work: Path) -> Settings:
    """Return the loop of rounds of one run.

    Args:
        profile: a choice of the config group `profile`.
        cell: which run.
        seed: of questions, mistakes, initialisation and draws.
        work: the run's own folder, which DVC does not know: an interrupted run goes on there.
    """
    overrides = [f"profile={profile}", f"augmentation={AUGMENTATION}", f"method_kwargs.related_share={SHARE}"]
    overrides += [f"max_epochs={EPOCHS[profile]}"] if profile in EPOCHS else []
    data = {"dataset": compose(METHOD, overrides).data.dataset}
    cfg = training_config(METHOD, data, seed, tuple(overrides))
    space = work / SPACE
    embed(dataset_from_config(cfg.data, "train"), make_prior(SPACE), out=space)
    asking = cell.asking(profile)
    return Settings(
        data=data,
        store=str(work / "answers.db"),
        out=work / "rounds",
        strategy=cell.strategy,
        budget=asking.questions,
        rounds=asking.rounds,
        grid=GRID,
        noise=cell.noise,
        policy=POLICY,
        features=space,
        seed=seed,
        method=METHOD,
        overrides=tuple(overrides),
    )


def keep(settings: Settings, last: int, out: Path) -> None:
    """Put the answers as CSV, and the last round's graph and network, into `out`, all or nothing."""
    folder = settings.out / f"round_{last}"
    with atomic_folder(out) as made:
        with RelationStore.open(settings.store) as store:
            store.export(made / "answers.csv")
        shutil.copytree(folder / "graph", made / "graph")
        for name in (MODEL, METRICS):
            shutil.copyfile(folder / "run" / name, made / name)


if __name__ == "__main__":
    run(main, "profile", "cell", "seed", trains=True)
