"""The door: `pal train` and `main_pretrain.py` hand their arguments to Hydra here, and Hydra's errors become ours."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import hydra
from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError

from pal_plugin.errors import ConfigError
from pal_plugin.registry import near_matches

_NAME_FLAGS = ("--config-name", "-cn")
_HYDRA_INFO = ("--help", "-h", "--hydra-help", "--version", "--info", "-i")
SHARED = "base"


def config_names() -> list[str]:
    """Return the primary configs that the package ships."""
    folder = files("pal_plugin.conf")
    names = (entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return sorted(name for name in names if name != SHARED)


def compose(config_name: str, overrides: list[str] | None = None) -> DictConfig:
    """Compose a config of ours by name, as the command line does.

    Args:
        config_name: for example `gps_simclr`.
        overrides: Hydra overrides, for example `["profile=debug", "seed=1"]`.
    """
    with initialize_config_module("pal_plugin.conf", version_base="1.3"):
        return hydra_compose(config_name, overrides or [])


def main(arguments: Sequence[str] | None = None) -> None:
    """Compose the config that `arguments` name and train.

    Args:
        arguments: Hydra's flags and overrides; the process's own if None.

    Raises:
        ConfigError: no config is named, or a config, group choice or option does not exist (with the near matches).
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = _config_name(given)
    if name is None and not any(flag in given for flag in _HYDRA_INFO):
        raise ConfigError(
            "No config is named", f"Add --config-name with one of: {', '.join(config_names())} (or one of your own)"
        )
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let exceptions through to us
    before, sys.argv = sys.argv, [sys.argv[0], *given]

    @hydra.main(version_base="1.3", config_path=None)
    def run(cfg: DictConfig) -> float | None:
        from pal_plugin.train import train  # after Hydra has answered --help and --cfg

        _check_sweep(cfg)
        sys.argv = before  # Hydra has read its own; by these Lightning starts a process for each further device
        return objective(cfg, train(cfg))

    try:
        run()
    except (HydraException, OmegaConfBaseException) as error:
        raise explained(error, name) from error
    except (YAMLError, ValueError, OSError, RecursionError) as error:  # all of what is in a file, UTF-8 included
        if not _while_composing(error):
            raise
        raise ConfigError(
            f"The config {name!r}, or one that it is made of, cannot be read: {' '.join(str(error).split())}",
            "Correct that file: it has to be keys and values in YAML and UTF-8, with `defaults` as a list",
        ) from error
    finally:
        sys.argv = before


def _check_sweep(cfg: DictConfig) -> None:
    """Refuse a sweep of runs on several devices whose processes Lightning would start: each would begin the sweep."""
    from pal_plugin.devices import device_count  # with PyTorch

    started = {"LOCAL_RANK", "SLURM_STEP_ID"} & os.environ.keys()
    if HydraConfig.get().mode == RunMode.MULTIRUN and device_count(cfg) > 1 and not started:
        raise ConfigError(
            f"--multirun with devices={cfg.devices} would have every process go through all runs",
            "Start it by torchrun or srun, which start the processes themselves, or one run after another",
        )


def objective(cfg: DictConfig, metrics: Mapping[str, Any]) -> float | None:
    """Return what a Hydra sweeper may optimise: the online probe's `val_acc1` on `val`, never on the test split.

    Args:
        cfg: a composed config.
        metrics: what `train` returned.

    Returns:
        Percent; None, which a sweeper that optimises refuses, where the probe was read on no images or on `test`
        (which is said in one line then).
    """
    from pal_plugin.datamodule import validation_split

    found = metrics.get("val_acc1")
    split = validation_split(cfg.data)
    if found is not None and split == "val":
        return float(found)
    if _optimises():
        on_test = found is not None and split == "test"
        why = "the test split, which nothing may be chosen by" if on_test else "no images"
        print(
            f"pal train: nothing to optimise: the online probe was read on {why} (data.val_fraction=0.1 makes a val)",
            file=sys.stderr,
        )
    return None


def _optimises() -> bool:
    """Return whether a sweeper other than Hydra's own, which runs a grid and reads no results, started this run."""
    hydra_cfg = HydraConfig.get() if HydraConfig.initialized() else None
    return (
        hydra_cfg is not None
        and hydra_cfg.mode == RunMode.MULTIRUN
        and hydra_cfg.sweeper._target_ != "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
    )


def _while_composing(error: Exception) -> bool:
    """Return whether Hydra raised `error` while it made a config of files, and not the training that it calls then."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(Path(frame.filename).name == "config_loader_impl.py" for frame in frames)


def _config_name(arguments: list[str]) -> str | None:
    for position, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in _NAME_FLAGS:
            return value if equals else next(iter(arguments[position + 1 :]), None)
    return None


def explained(error: Exception, name: str | None) -> ConfigError:
    """Return what `error`, of Hydra or OmegaConf, says about the config `name` and its overrides, and what mends it."""
    text = str(error)
    what = " ".join(text.split("Config search path")[0].split("Available options")[0].split())
    missing = re.search(r"Could not find '([^']+)'", text)
    options = re.search(r"Available options in '[^']*':\n((?:\t.*\n?)+)", text)
    if missing and options:
        known = options.group(1).split()
        return ConfigError(what, f"Choose another: {near_matches(missing.group(1).split('/')[-1], known)}")
    if name is not None and f"'{name}'" in text and "primary config" in text:
        return ConfigError(
            f"There is no config called {name!r}", f"Choose another: {near_matches(name, config_names())}"
        )
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        return ConfigError(
            f"Hydra cannot read the override {error.override!r}",
            f"Where the value has signs of Hydra's own grammar, quote it twice: '{key}=\"{value}\"'",
        )
    if isinstance(error, MissingMandatoryValue) and error.full_key:
        return ConfigError(f"The config {name} needs {error.full_key}", f"Add {error.full_key}=…")
    option = re.search(r"Could not override '([^']+)'", text)
    if option:
        key = option.group(1)
        return ConfigError(
            f"The config {name} has no option {key!r}",
            f"Choose another: {near_matches(key, _options(name))} To add a new one, write +{key}=…",
        )
    return ConfigError(what, f"See `pal train --config-name {name} --cfg job` for the config as it stands")


def _options(name: str | None) -> list[str]:
    if name is None or name not in config_names():
        return []
    return _keys(compose(name))


def _keys(cfg: Any, prefix: str = "") -> list[str]:
    if not isinstance(cfg, DictConfig):
        return [prefix]
    keys = [key for name in map(str, cfg) for key in _keys(cfg._get_node(name), f"{prefix}{name}.")]
    return [key.rstrip(".") for key in keys]
