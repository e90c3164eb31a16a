"""What the figures were taken on."""

from __future__ import annotations

import os
from typing import Any

import torch

from pal_plugin.doctor import examine


def machine() -> dict[str, Any]:
    """Return the devices, every BLAS with its kernel, torch's threads, the load, and the versions that matter."""
    found = examine()
    names = ("python", "torch", "numpy", "scipy", "faiss-cpu", "solo-learn", "pal-plugin")
    return {
        "devices": found["devices"],
        "blas": found["blas"],
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "host": found["host"]["kind"],
        "versions": {name: found["versions"].get(name) for name in names},
    }
