"""Networks as priors: device, precision, weights, and the preprocessing that belongs to them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from pal_plugin.errors import CheckpointError, ConfigError, DeviceError
from pal_plugin.precision import fast_bfloat16
from pal_plugin.priors.base import Images

Features = npt.NDArray[np.float32]
T = TypeVar("T")

# Few images at a time keep a layer's activations in a core's cache and below the size at which malloc maps fresh pages:
# more than twice as fast as 64 at a time. A GPU wants many.
AT_ONCE = {"bfloat16": 8, "float32": 16}
AT_ONCE_GPU = 256


class NetworkPrior:
    """A network with frozen weights behind the preprocessing that it was trained with.

    Args:
        name: what it is called.
        network: maps (B, 3, h, w) to (B, D); it is put into evaluation mode.
        transform: maps a PIL image to (3, h, w) without chance.
        architecture: what of the network its weights do not tell; `name` if None.
        device: `"cpu"`, `"cuda"`, or `"auto"`: a GPU where there is one.
        precision: `"float32"`, `"bfloat16"` (autocast), or `"auto"`: bfloat16 where the device computes in it.

    Raises:
        ConfigError: unknown device or precision.
        DeviceError: a GPU was asked for and there is none.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        transform: Callable[[Image.Image], Tensor],
        *,
        architecture: str | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        self.name = name
        self.device = pick_device(device, name)
        self.precision = pick_precision(precision, self.device, name)
        said = " ".join(re.sub(r" at 0x[0-9a-f]+", "", str(transform)).split())  # functions print with their address
        self.key = f"{architecture or name}, weights {weights_digest(network)}, {said}, {self.precision}"
        self._transform = transform
        network = network.eval().requires_grad_(False)
        self._network: Any = network.to(self.device).to(memory_format=torch.channels_last)

    def embed(self, images: Images) -> Features:
        """Map B images to (B, D) float32 features; the number of cores does not change them."""
        on_gpu = self.device.type == "cuda"
        size = AT_ONCE_GPU if on_gpu else AT_ONCE[self.precision]
        parts = [images[start : start + size] for start in range(0, len(images), size)]
        return np.concatenate([self._embed(part) for part in parts] if on_gpu else on_every_core(self._embed, parts))

    @torch.inference_mode()  # here and not in embed(): the mode belongs to a thread
    def _embed(self, images: Images) -> Features:
        x = self._pixels(images).to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            features = self._network(x)
        found: Features = features.float().cpu().numpy()
        return found

    def _pixels(self, images: Images) -> Tensor:
        pictures = [Image.fromarray(image) for image in images]
        if self.device.type == "cpu":  # each part has a core of its own already
            return torch.stack([self._transform(picture) for picture in pictures])
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return torch.stack(list(pool.map(self._transform, pictures)))


def on_every_core(embed: Callable[[T], Features], parts: Sequence[T]) -> list[Features]:
    """Embed each part on one core, as many at a time as torch has threads.

    Two cores on one part have to meet after every layer; where other programs keep the machine busy that was up to six
    times slower.
    """
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(embed, parts))
    finally:
        torch.set_num_threads(threads)  # the workers' setting is also the default of threads yet to come


def pick_device(name: str, prior: str) -> torch.device:
    """Return the device called `name`, for the prior called `prior`.

    Raises:
        ConfigError: unknown device.
        DeviceError: a GPU was asked for and there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"{prior} cannot run on the device {name!r}", "Choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("A GPU was asked for and torch sees none", "Use device=cpu or auto, or see: pal doctor")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def pick_precision(name: str, device: torch.device, prior: str) -> str:
    """Return `"float32"` or `"bfloat16"`, what `"auto"` means on `device`.

    Raises:
        ConfigError: unknown precision.
    """
    if name not in ("auto", "float32", "bfloat16"):
        raise ConfigError(f"{prior} has no precision {name!r}", "Choose auto, float32 or bfloat16")
    if name != "auto":
        return name
    return "bfloat16" if fast_bfloat16(device.type) else "float32"


def weights_digest(network: nn.Module) -> str:
    """Return SHA-256, in hexadecimal, over the names, types, shapes and bytes of a network's parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_weights(network: nn.Module, path: str, *, name: str, head: Sequence[str] = ()) -> None:
    """Fill a network from a file of the user's: every weight, none left as it was.

    Args:
        network: what is filled.
        path: a state dict of the same library, alone or under `state_dict` or `model` (averaged weights beside it are
            preferred), in PyTorch's format without code or in safetensors.
        name: of the prior, for messages.
        head: modules of the whole network that this one is without; the file may hold them.

    Raises:
        CheckpointError: no such file, unreadable, or weights of another network.
    """
    from timm.models import load_state_dict

    file = Path(path).expanduser()
    if not file.is_file():
        raise CheckpointError(f"There are no weights for {name} at {file}", "Name an existing file")
    try:
        state = dict(load_state_dict(str(file), weights_only=True))
        shapes = {key: tuple(value.shape) for key, value in state.items()}
    except Exception as error:  # pickle, zip, torch and safetensors each have their own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"The weights of {name} at {file} cannot be read: {reason}", "Write them with torch.save(state_dict, path)"
        ) from error
    own = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    counters = {key for key in own if key.endswith("num_batches_tracked")}  # files from before PyTorch 0.4.1 lack them
    wrong = [key for key in own if key not in counters and shapes.get(key) != own[key]]
    wrong += [key for key in shapes if key not in own and not key.startswith(tuple(f"{module}." for module in head))]
    if wrong:
        found = ", ".join(f"{key} {_shape(shapes, key)} in the file, {_shape(own, key)} here" for key in wrong[:3])
        raise CheckpointError(
            f"{file} holds weights of another network than {name}: {len(wrong)} differ ({found})",
            "Name the file, or the network, that belongs to the other",
        )
    network.load_state_dict({key: value for key, value in state.items() if key in own}, strict=False)


def _shape(shapes: dict[str, tuple[int, ...]], key: str) -> str:
    return str(shapes[key]) if key in shapes else "missing"
