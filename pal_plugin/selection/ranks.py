"""What the processes of a distributed selection say to each other; one process alone has nobody to ask."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist

from pal_plugin.errors import ConfigError

T = TypeVar("T")


class Ranks(Protocol):
    """Processes that hold consecutive shards of the rows. Every one of them makes the same calls in the same order."""

    rank: int

    def gather(self, thing: T) -> list[T]:
        """Return the `thing` of every rank, in order of ranks."""

    def share(self, thing: T) -> T:
        """Return the `thing` of rank 0."""


class Alone:
    """The only process."""

    rank = 0

    def gather(self, thing: T) -> list[T]:
        """Return `[thing]`."""
        return [thing]

    def share(self, thing: T) -> T:
        """Return `thing`."""
        return thing


class Group:
    """The default process group of `torch.distributed`.

    Raises:
        ConfigError: there is none.
    """

    def __init__(self) -> None:
        if not (dist.is_available() and dist.is_initialized()):
            raise ConfigError(
                "A distributed selection needs a process group",
                "Start by torchrun and call torch.distributed.init_process_group(), or use select on one process",
            )
        self.rank = dist.get_rank()

    def gather(self, thing: T) -> list[T]:
        """Return the `thing` of every rank."""
        things: list[Any] = [None] * dist.get_world_size()
        with torch.inference_mode(False):  # torch 2.4 cannot send from within it
            dist.all_gather_object(things, thing)
        return things

    def share(self, thing: T) -> T:
        """Return the `thing` of rank 0."""
        things = [thing]
        with torch.inference_mode(False):  # as above
            dist.broadcast_object_list(things)
        return things[0]
