"""Progress of long work: a bar on a terminal, one line per interval elsewhere, nothing for short work."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
INTERVAL_S = 15.0


class SizedIterable(Sized, Iterable[T_co], Protocol[T_co]):
    """An iterable that knows its length."""


def progress(items: SizedIterable[T], what: str) -> Iterator[T]:
    """Yield `items` and report on standard error how many are done.

    Args:
        items: the units of work.
        what: the work, as a noun (`"neighbours"`).
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=what, delay=1, leave=False)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - last >= INTERVAL_S:
            last = now
            left = (now - start) / done * (len(items) - done)
            print(f"{what}: {done}/{len(items)}, about {left:.0f} s left", file=sys.stderr, flush=True)
        yield item
