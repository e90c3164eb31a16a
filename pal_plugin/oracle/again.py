"""The policy `again`: answers that contradict each other do not count until they were asked for once more."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pal_plugin.graph.partition import Partition

Pair = tuple[int, int]
_Tree = dict[int, int]  # for each sample reached from a start, the one before it; before the start comes itself


class _Links:
    """An undirected graph that gains and loses edges. Sets that keep their order make its searches repeatable."""

    def __init__(self) -> None:
        self._next: dict[int, dict[int, None]] = {}

    def add(self, a: int, b: int) -> None:
        self._next.setdefault(a, {})[b] = None
        self._next.setdefault(b, {})[a] = None

    def remove(self, a: int, b: int) -> None:
        del self._next[a][b], self._next[b][a]

    def of(self, node: int) -> Iterable[int]:
        return self._next.get(node, {})

    def has(self, a: int, b: int) -> bool:
        return b in self._next.get(a, {})

    def tree(self, start: int, end: int | None = None) -> _Tree:
        """Search breadth first from a node until another one is reached; None: until nothing is left."""
        reached: _Tree = {start: start}
        waiting = deque([start])
        while waiting and end not in reached:
            node = waiting.popleft()
            for other in self.of(node):
                if other not in reached:
                    reached[other] = node
                    waiting.append(other)
        return reached


class Standing:
    """The answers that stand: must-links and their components, and cannot-links, of which none is within one.

    Answers are taken one after another, and set aside where they contradict each other:

    - An answer that contradicts what stands closes a cycle of one cannot-link and as few must-links as possible. All
      pairs of the cycle are set aside, and are to be asked again.
    - The next answer to a pair that is to be asked again settles it: what is said then counts instead of what was said
      before. "Not sure" leaves it unknown, and it is not asked a third time.
    - Of a cycle of which some pairs are settled, only the others are set aside. Where all are settled, so that asking
      again has not helped, all are set aside, and none is asked again.

    Args:
        num_samples: N.
    """

    def __init__(self, num_samples: int) -> None:
        self._taken = 0
        self._standing: dict[Pair, list[int]] = {}  # the places of the answers to each pair, which all say the same
        self._again: dict[Pair, None] = {}  # a set that keeps its order
        self._settled: set[Pair] = set()
        self._linked = _Links()
        self._apart = _Links()
        self._part = list(range(num_samples))  # which component each sample is in, named after one of its members
        self._members: dict[int, list[int]] = {}
        self._known: Partition | None = Partition(num_samples)  # None: since it was made, something was set aside

    @property
    def known(self) -> Partition:
        """The closure of the answers that stand."""
        if self._known is None:
            self._known = Partition(len(self._part))
            for pair in self._standing:
                self._known.add(*pair, -1 if self._apart.has(*pair) else 1)
        return self._known

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """(k,) which of the answers stand, by the order in which they were taken, sorted."""
        places = [place for standing in self._standing.values() for place in standing]
        return np.sort(np.array(places, dtype=np.int64))

    @property
    def again(self) -> npt.NDArray[np.int64]:
        """(q, 2) the pairs to be asked again, the lower sample first, in the order in which they came up.

        What is known by closure all the same is left out.
        """
        pairs = np.array(list(self._again), dtype=np.int64).reshape(-1, 2)
        return np.asarray(pairs[self.known.relation(pairs[:, 0], pairs[:, 1]) == 0])

    def take(self, answers: Iterable[tuple[int, int, int]]) -> None:
        """Take answers (a, b, relation) behind all others: a < b, relation +1, −1 or 0; the oldest first."""
        for a, b, relation in answers:
            self._take((a, b), relation)
            self._taken += 1

    def _take(self, pair: Pair, relation: int) -> None:
        if pair in self._again:
            del self._again[pair]
            self._settled.add(pair)
        if relation == 0:
            return
        same = self._apart if relation == -1 else self._linked
        if same.has(*pair):
            self._standing[pair].append(self._taken)
            return
        if pair in self._settled and pair in self._standing:
            self._set_aside([pair])
        while cycle := self._cycle(pair, relation):
            loose = [other for other in dict.fromkeys([*cycle, pair]) if other not in self._settled]
            self._set_aside([other for other in (loose or cycle) if other in self._standing])
            self._again.update(dict.fromkeys(loose))
            if pair in loose or not loose:
                return
        self._stand(pair, relation)

    def _cycle(self, pair: Pair, relation: int) -> list[Pair]:
        """Return the pairs that stand against an answer: as few as possible; none where it can stand."""
        a, b = pair
        if relation == -1:
            return _along(self._linked.tree(a, b), b) if self._part[a] == self._part[b] else []
        far = self._between(a, b)
        if not far:
            return []
        here, there = self._linked.tree(a), self._linked.tree(b)
        cycles = [[*_along(here, c), (min(c, d), max(c, d)), *_along(there, d)] for c, d in far]
        return min(cycles, key=len)

    def _between(self, a: int, b: int) -> list[Pair]:
        """Return the cannot-links between the components of a and b, the end in a's component first."""
        first, second = self._part[a], self._part[b]
        if first == second:
            return []
        ours, theirs = self._members.get(first, [first]), self._members.get(second, [second])
        if len(ours) <= len(theirs):
            return [(c, d) for c in ours for d in self._apart.of(c) if self._part[d] == second]
        return [(c, d) for d in theirs for c in self._apart.of(d) if self._part[c] == first]

    def _stand(self, pair: Pair, relation: int) -> None:
        self._standing[pair] = [self._taken]
        if self._known is not None:
            self._known.add(*pair, relation)
        if relation == -1:
            self._apart.add(*pair)
            return
        self._linked.add(*pair)
        first, second = (self._part[node] for node in pair)
        if first == second:
            return
        if len(self._members.get(first, ())) < len(self._members.get(second, ())):
            first, second = second, first
        moved = self._members.pop(second, [second])
        self._members.setdefault(first, [first]).extend(moved)
        for node in moved:
            self._part[node] = first

    def _set_aside(self, pairs: list[Pair]) -> None:
        """Let pairs stand no longer; what their must-links held together falls apart."""
        split = set()
        self._known = None  # a partition cannot forget
        for pair in pairs:
            del self._standing[pair]
            if self._apart.has(*pair):
                self._apart.remove(*pair)
            else:
                self._linked.remove(*pair)
                split.add(self._part[pair[0]])
        for part in split:
            self._rebuild(self._members.pop(part))

    def _rebuild(self, members: list[int]) -> None:
        left = dict.fromkeys(members)
        while left:
            part = next(iter(left))
            together = list(self._linked.tree(part))
            for node in together:
                self._part[node] = part
                del left[node]
            if len(together) > 1:
                self._members[part] = together


def _along(tree: _Tree, end: int) -> list[Pair]:
    """Return the pairs from a tree's start to a node that it reached."""
    pairs = []
    while (before := tree[end]) != end:
        pairs.append((min(before, end), max(before, end)))
        end = before
    return pairs[::-1]
