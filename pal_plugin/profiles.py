"""Which profile `profile=auto` means on this machine."""

from __future__ import annotations

from omegaconf import OmegaConf


def automatic_profile() -> str:
    """Return `paper` where PyTorch sees a GPU, else `smoke`."""
    import torch  # heavy, and Hydra imports this module at every start

    return "paper" if torch.cuda.is_available() else "smoke"


def register_resolver() -> None:
    """Make `${pal.profile:}` available to configs."""
    OmegaConf.register_new_resolver("pal.profile", automatic_profile, replace=True, use_cache=True)
