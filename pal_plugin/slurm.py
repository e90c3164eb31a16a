"""Training in a job of SLURM's: which of its tasks train together, and that whoever wrote the script requeues it."""

from __future__ import annotations

import os

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Trainer

from pal_plugin.errors import ConfigError

_MEND = "Give sbatch --nodes and --ntasks-per-node as num_nodes and devices, and start the command by srun"


def slurm_environment() -> list[SLURMEnvironment]:
    """Return Lightning's view of SLURM without its requeueing, or nothing where tasks are torchrun's or there are none.

    Its requeueing answers SIGUSR1 with a checkpoint of its own, taken in the middle of a step, and goes on from that
    wherever there is none of ours yet: with the first batch of an epoch on weights that have seen it.

    Raises:
        ConfigError: tasks that do not know of each other: each would train the whole run into one folder.
    """
    if TorchElasticEnvironment.detect():
        return []
    try:
        found = [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
    except RuntimeError as error:
        raise ConfigError(f"The variables of this job of SLURM's do not fit: {error}", _MEND) from error
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    if not found and tasks != "1":
        raise ConfigError(
            f"srun started {tasks} tasks in a job called {os.environ.get('SLURM_JOB_NAME')}, which Lightning takes for "
            "one in which somebody types",
            "Set SLURM_JOB_NAME to another name in front of srun, or use torchrun",
        )
    return found


def check_tasks(trainer: Trainer, environment: SLURMEnvironment) -> None:
    """Refuse tasks that would each train the whole run into one folder, or wait for others that never come.

    Raises:
        ConfigError: SLURM has other tasks, or puts them on other nodes, than the config; or srun did not start them.
    """
    nodes, devices, tasks = trainer.num_nodes, trainer.num_devices, environment.world_size()
    if tasks != nodes * devices:
        raise ConfigError(
            f"SLURM counts {tasks} tasks, where num_nodes={nodes} with devices={devices} need {nodes * devices}", _MEND
        )
    if tasks > 1 and "SLURM_STEP_ID" not in os.environ:
        raise ConfigError(f"SLURM counts {tasks} tasks, and this process is none of them", _MEND)
    try:
        environment.validate_settings(devices, nodes)
    except ValueError as error:
        raise ConfigError(f"The tasks of this job are placed otherwise than the config says: {error}", _MEND) from error
