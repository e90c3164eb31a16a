"""How an error that a user can mend leaves a data worker."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NoReturn, ParamSpec, TypeVar

from torch._utils import ExceptionWrapper
from torch.utils.data import get_worker_info

from pal_plugin.errors import PalError

P = ParamSpec("P")
R = TypeVar("R")


class Carried(ExceptionWrapper):
    """A worker's answer to a request that failed: the loader raises `error` as it was.

    Of what a worker raises, PyTorch sends the class and the text of the traceback, and builds an exception from that
    one argument; where the class wants others, as ours does, the user gets a `RuntimeError`. An answer is pickled
    whole.

    Args:
        error: what went wrong, as it was caught.
    """

    def __init__(self, error: PalError) -> None:
        super().__init__((type(error), error, error.__traceback__), where="in a data worker")  # type: ignore[no-untyped-call]
        self.error = error

    def reraise(self) -> NoReturn:
        """Raise the error, once; its cause tells where in the worker it came from."""
        # Kept here, it would be in a cycle with its traceback, the loader's iterator would live until the next garbage
        # collection, and there each worker takes five seconds to stop.
        raise vars(self).pop("error") from RuntimeError(f"Raised {self.where}:\n{self.exc_msg}")


def carries_errors(read: Callable[P, R]) -> Callable[P, R]:
    """Make a data set's `__getitems__` answer with a `Carried` where it fails in a worker; elsewhere it raises.

    For loaders without a collation of their own, which would not know what to do with one.
    """

    @functools.wraps(read)
    def answer(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return read(*args, **kwargs)
        except PalError as error:
            if get_worker_info() is None:
                raise
            return Carried(error)  # type: ignore[return-value]  # the loader raises it, so nobody sees it

    return answer
