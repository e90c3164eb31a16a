"""Embedding on a Ray cluster: one copy of the prior for each GPU, or for each core where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import ConfigError, PalError
from pal_plugin.priors.base import Prior

if TYPE_CHECKING:
    from pal_plugin.data.dataset import Images


def ray_batches(
    images: Images, prior: Prior, starts: Sequence[int], batch_size: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield `prior.embed(images[start : start + batch_size])` for every start, in order.

    It runs on the cluster that `RAY_ADDRESS` names, or that this process is connected to; where there is none, Ray is
    started on this machine and stopped at the end. Images in an array are sent to every machine once; images that are
    read from files have to be at the same paths on all of them.

    Args:
        images: of a data set.
        prior: can be pickled.
        starts: first rows.
        batch_size: images of a batch; the last one may be smaller.

    Raises:
        ConfigError: Ray is not installed.
        PalError: what the prior or the images raise.
    """
    try:
        import ray
        from ray.util import ActorPool
    except ImportError as error:
        raise ConfigError(
            f"Embedding with Ray needs a library that cannot be imported: {error}", "pip install 'pal-plugin[ray]'"
        ) from error
    began = not ray.is_initialized()
    if began:
        ray.init(log_to_driver=False)
    try:
        found = ray.cluster_resources()
        gpus = int(found.get("GPU", 0))
        actor = ray.remote(num_gpus=1)(_Embedder) if gpus else ray.remote(num_cpus=1)(_Embedder)
        count = min(gpus or int(found.get("CPU", 1)), len(starts))
        shared = ray.put(images), ray.put(prior)
        pool = ActorPool([actor.remote(*shared, batch_size) for _ in range(count)])
        yield from pool.map(lambda one, start: one.embed.remote(start), starts)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, PalError):
            raise error.cause from error
        raise
    finally:
        if began:
            ray.shutdown()


class _Embedder:
    """A prior beside the images, in a process of the cluster."""

    def __init__(self, images: Any, prior: Prior, batch_size: int) -> None:
        self._images, self._prior, self._batch_size = images, prior, batch_size

    def embed(self, start: int) -> npt.NDArray[np.float32]:
        return self._prior.embed(self._images[start : start + self._batch_size])
