"""How `adassl_frozen.npz` was captured: `python adassl_frozen.py CHECKOUT`, in float64 on one CPU thread.

CHECKOUT is https://github.com/SkrighYZ/AdaSSL (MIT licence, Zhang et al.) at commit
8f7148f60c17aa3be3e91dbdc141d2c3e69a8d93; nothing of it is copied here. Its `ModelWrapper` runs as it is,
backbone and projector excepted, which are replaced by the identity: the inputs are embeddings. For every case the file
holds the inputs, the weights, and what came out: edited embeddings, both losses, the gradients of their sum, and
BatchNorm's statistics afterwards. Keys are `CASE/KIND/NAME`, names of weights the authors'; all numbers are one array,
and `shapes`, JSON, says in order what it holds. `torch.manual_seed(SEED)`
stands right before the forward pass, so that its draws of r can be had again. `beta` holds β after each call of the
authors' warm-up, which counts two calls a step. Captured with PyTorch 2.15 and NumPy 2.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

DIM, HIDDEN, LATENT, BATCH, SEED = 4, 5, 2, 4, 3
CASES: dict[str, dict[str, Any]] = {
    "v_mlp": {"model": "adassl-v", "tau": 0.03, "learnable_lambda": True, "additional_view": True},
    "v_linear": {"model": "adassl-v", "editor": f"{DIM + LATENT}-{DIM}"},
    "v_add": {"model": "adassl-v", "editor": f"{DIM}", "latent_predictor": f"{DIM}-{HIDDEN}-{HIDDEN}-{DIM}"},
    "s": {"model": "adassl-s"},
    "s_start": {"model": "adassl-s", "additional_view": True},
    "gt": {"model": "gt"},
    "vanilla": {"model": "vanilla"},
    "byol_v": {"model": "adassl-v", "ssl_objective": "byol"},
    "byol_s": {"model": "adassl-s", "ssl_objective": "byol", "additional_view": True},
}


def arguments(case: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(
        **{
            "ssl_objective": "simclr",
            "dataset": "3dident",
            "additional_view": False,
            "learnable_lambda": False,
            "reg_beta": 0.5,
            "reg_beta_warmup_steps": 0,
            "train_steps": 10,
            "projector": f"{DIM}-{DIM}",
            "predictor": f"{DIM}-{HIDDEN}-{DIM}",
            "latent_predictor": f"{DIM}-{HIDDEN}-{LATENT}",
            "editor": f"{DIM + LATENT}-{HIDDEN}-{DIM}",
            "backbone": "resnet18",
            "input_size": 64,
            "batch_size": BATCH,
            "tau": 0.1,
            "ema_tau": 0.996,
        }
        | case
    )


def random_weights(model: nn.Module, generator: torch.Generator, *, start: bool) -> None:
    """Weights of no particular size, so that no term of a loss is zero; B stays at zero where the start is meant."""
    for name, parameter in model.named_parameters():
        if parameter.ndim and not (start and name.startswith("editor_Bs")):
            parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)


def capture(name: str, case: dict[str, Any]) -> dict[str, Tensor]:
    from models.wrapper import ModelWrapper  # of the checkout

    generator = torch.Generator().manual_seed(len(name))
    model = ModelWrapper(arguments(case)).double()
    ssl = model.ssl_model
    ssl.backbone, ssl.projector = nn.Identity(), nn.Identity()
    if model.ssl_objective == "byol":  # a momentum network that differs from the online one
        ssl.target_backbone, ssl.target_projector = nn.Identity(), nn.Linear(DIM, DIM).double()
    del model.evaluator  # its probes have no part in the method
    random_weights(model, generator, start=name == "s_start")
    inputs = {
        key: torch.randn(BATCH, DIM, generator=generator, dtype=torch.float64, requires_grad=True)
        for key in ("x", "y", "x_aug", "y_aug")
    }
    factors = {key: torch.randn(BATCH, LATENT, generator=generator, dtype=torch.float64) for key in ("z_x2y", "z_y2x")}
    out = {f"input/{key}": value.detach().clone() for key, value in (inputs | factors).items()}
    weights = {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    out |= {f"weight/{key}": value.clone() for key, value in weights.items()}

    edited: list[Tensor] = []
    predict = model.predict

    def recorded(*args: Any, **kwargs: Any) -> Any:
        result = predict(*args, **kwargs)
        edited.append(result[0].detach().clone())
        return result

    model.predict = recorded
    model.evaluator = lambda *_: {}
    torch.manual_seed(SEED)
    losses = model(*inputs.values(), *factors.values(), {})
    sum(losses.values()).backward()
    out |= {"edited/y": edited[0], "edited/x": edited[1]}
    out |= {f"loss/{key}": value.detach() for key, value in losses.items()}
    if model.ssl_objective == "byol":
        with torch.no_grad():
            out |= {f"input/target_{key}": ssl.target_projector(inputs[key]) for key in ("x", "y")}
    named = list(model.named_parameters()) + list(inputs.items())
    out |= {f"grad/{key}": value.grad for key, value in named if value.grad is not None}
    after = {key: value for key, value in model.state_dict().items() if "running_" in key}
    return out | {f"after/{key}": value for key, value in after.items()}


def warm_up() -> np.ndarray:
    from models.sampler import LatentSampler

    sampler = LatentSampler(arguments({"model": "adassl-s", "reg_beta_warmup_steps": 7}))
    betas = []
    for _ in range(20):
        sampler.update_reg_beta()
        betas.append(sampler.reg_beta)
    return np.array(betas)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    sys.path.insert(0, str(parser.parse_args().checkout))
    torch.set_num_threads(1)
    numbers = {"beta": warm_up()}
    for name, case in CASES.items():
        numbers |= {f"{name}/{key}": value.detach().numpy() for key, value in capture(name, case).items()}
    shapes = json.dumps({key: value.shape for key, value in numbers.items()})  # one array an entry is mostly headers
    flat = np.concatenate([value.ravel() for value in numbers.values()])
    np.savez_compressed(Path(__file__).with_suffix(".npz"), shapes=shapes, numbers=flat)


if __name__ == "__main__":
    main()
