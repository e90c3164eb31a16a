"""What is known of N samples where being related is an equivalence, one relation after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import GraphError
from pal_plugin.graph.closure import by_first_member
from pal_plugin.graph.similarity import Manifested, SimilarityGraph, reference_of

Longs = npt.NDArray[np.int64]


class Partition:
    """Union-find with components known to be apart: the closure of relations that come one at a time.

    Every node knows its root, which is some member of its component; the smaller of two components changes its roots
    when they are joined, so that N joins move O(N log N) nodes. A join also counts the components known to be apart
    from the two, to say how many pairs it teaches: where thousands are known to be apart from one, each join costs
    thousands.

    Args:
        num_nodes: N; at first nothing is known, and every node is a component of its own.

    Attributes:
        num_nodes: N.
        num_components: how many components there are, single nodes included.
        num_related: unordered pairs of nodes known to be related, by closure.
        num_unrelated: unordered pairs of nodes known to be unrelated, by closure.

    Raises:
        GraphError: fewer than 0 nodes.
    """

    def __init__(self, num_nodes: int) -> None:
        if num_nodes < 0:
            raise GraphError(f"num_nodes={num_nodes} is no number of nodes", "Pass the size of the data set")
        self.num_nodes = num_nodes
        self.num_components = num_nodes
        self.num_related = 0
        self.num_unrelated = 0
        self._root = np.arange(num_nodes, dtype=np.int64)
        self._members: dict[int, list[int]] = {}  # of the roots of two nodes or more
        self._apart: dict[int, set[int]] = {}  # roots known apart from each root, both ways round

    @property
    def component(self) -> Longs:
        """(N,) int64, which component each node is in, numbered by first member."""
        return by_first_member(self._root)

    def roots(self, nodes: npt.ArrayLike) -> Longs:
        """Return the root of each node's component: equal where, and only where, two nodes are known to be related.

        Args:
            nodes: node numbers of any shape.

        Returns:
            int64 of the same shape. A root is a member of its component, and may change when components are joined.

        Raises:
            GraphError: no such node.
        """
        return np.asarray(self._root[self._checked(nodes)])

    def size(self, nodes: npt.ArrayLike) -> Longs:
        """Return how many members each node's component has, itself included: int64 of the shape of `nodes`.

        Raises:
            GraphError: no such node.
        """
        roots = self.roots(nodes)
        sizes = [self._size(root) for root in roots.reshape(-1).tolist()]
        return np.array(sizes, dtype=np.int64).reshape(roots.shape)

    def members(self, node: int) -> Longs:
        """Return the members of a node's component, itself included, sorted: (size,) int64, in O(size log size).

        Raises:
            GraphError: no such node.
        """
        return np.sort(np.array(self._of(self._find(node)), dtype=np.int64))

    def apart(self, node: int) -> Longs:
        """Return the roots of the components known to be unrelated to a node's, sorted: (k,) int64.

        Raises:
            GraphError: no such node.
        """
        return np.array(sorted(self._apart.get(self._find(node), ())), dtype=np.int64)

    def relation(self, a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.int8]:
        """Return what is known of a and b: +1 related, −1 unrelated, 0 unknown; a node is related to itself.

        Args:
            a: node numbers of any shape.
            b: node numbers of a shape that broadcasts with it.

        Returns:
            int8 of the broadcast shape.

        Raises:
            GraphError: no such node.
        """
        left, right = np.broadcast_arrays(self.roots(a), self.roots(b))
        result = (left == right).reshape(-1).astype(np.int8)
        unknown = np.flatnonzero(result == 0)
        ends = zip(left.reshape(-1)[unknown].tolist(), right.reshape(-1)[unknown].tolist(), strict=True)
        apart = [other in self._apart.get(root, ()) for root, other in ends]
        result[unknown] = -np.array(apart, dtype=np.int8)
        return np.asarray(result.reshape(left.shape))

    def add(self, a: int, b: int, relation: int) -> int:
        """`join` two nodes where `relation` is +1, `separate` them where it is −1.

        Raises:
            GraphError: another relation, or as `join` and `separate`.
        """
        if relation == 1:
            return self.join(a, b)
        if relation == -1:
            return self.separate(a, b)
        raise GraphError(
            f"{relation!r} is no relation of two samples", "Pass +1 or −1, and leave out what is not known"
        )

    def join(self, a: int, b: int) -> int:
        """Learn that two nodes are related.

        Returns:
            How many unordered pairs became known by it, related and unrelated ones; 0 if it was known already.

        Raises:
            GraphError: no such node, or they are known to be unrelated; nothing has changed then.
        """
        root, other = self._find(a), self._find(b)
        if root == other:
            return 0
        if other in self._apart.get(root, ()):
            raise GraphError(
                f"Samples {a} and {b} are said to be related, and known to be unrelated",
                "Correct one of the relations between them, or let a policy resolve them",
            )
        if self._cost(root) < self._cost(other):
            root, other = other, root
        unrelated = self._unrelated_by_joining(root, other)
        related = self._size(root) * self._size(other)
        for far in self._apart.pop(other, ()):
            self._apart[far].discard(other)
            self._apart[far].add(root)
            self._apart.setdefault(root, set()).add(far)
        moved = self._members.pop(other, [other])
        self._root[moved] = root
        self._members.setdefault(root, [root]).extend(moved)
        self.num_components -= 1
        self.num_related += related
        self.num_unrelated += unrelated
        return related + unrelated

    def separate(self, a: int, b: int) -> int:
        """Learn that two nodes are unrelated, and with them all of their components.

        Returns:
            How many unordered pairs became known by it; 0 if it was known already.

        Raises:
            GraphError: no such node, or they are known to be related, as a node is to itself; nothing has changed then.
        """
        root, other = self._find(a), self._find(b)
        if root == other:
            raise GraphError(
                f"Samples {a} and {b} are said to be unrelated, and known to be related",
                "Correct one of the relations between them, or let a policy resolve them",
            )
        known = self._apart.setdefault(root, set())
        if other in known:
            return 0
        known.add(other)
        self._apart.setdefault(other, set()).add(root)
        unrelated = self._size(root) * self._size(other)
        self.num_unrelated += unrelated
        return unrelated

    def copy(self) -> Partition:
        """Return another partition that knows the same."""
        twin = Partition(self.num_nodes)
        twin.num_components = self.num_components
        twin.num_related = self.num_related
        twin.num_unrelated = self.num_unrelated
        twin._root = self._root.copy()
        twin._members = {root: list(members) for root, members in self._members.items()}
        twin._apart = {root: set(others) for root, others in self._apart.items()}
        return twin

    def graph(
        self, *, manifest: Mapping[str, Any] | Manifested | None = None, builder: Mapping[str, Any]
    ) -> SimilarityGraph:
        """Return a transitive graph whose closure is this partition.

        A chain of edges of weight +1, both ways, runs along the members of every component, and one of weight −1, both
        ways, joins the lowest members of two components that are known to be apart.

        Args:
            manifest: the data set, as a manifest or its reference; kept in the graph.
            builder: `name`, `parameters` and `cost` of the graph; `transitive` is added.

        Raises:
            GraphError: the manifest is of another size.
        """
        component = self.component
        order = np.argsort(component, kind="stable")
        linked = component[order][1:] == component[order][:-1]
        first = np.full(self.num_nodes, self.num_nodes, dtype=np.int64)  # lowest member of each root's component
        np.minimum.at(first, self._root, np.arange(self.num_nodes))
        far = [(root, other) for root, others in self._apart.items() for other in others if root < other]
        ends = first[np.array(far, dtype=np.int64).reshape(-1, 2)]
        left = np.concatenate([order[:-1][linked], ends[:, 0]])
        right = np.concatenate([order[1:][linked], ends[:, 1]])
        weights = np.concatenate([np.ones(int(linked.sum())), -np.ones(len(ends))])
        return SimilarityGraph.from_edges(
            self.num_nodes,
            np.concatenate([left, right]),
            np.concatenate([right, left]),
            np.tile(weights, 2),
            manifest=reference_of(manifest),
            builder={**builder, "transitive": True},
        )

    def _checked(self, nodes: npt.ArrayLike) -> Longs:
        chosen = np.asarray(nodes)
        if chosen.size and chosen.dtype.kind not in "iu":
            raise GraphError(f"Nodes must be integers, found {chosen.dtype}", "Pass numbers of samples")
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < self.num_nodes):
            raise GraphError(
                f"The nodes span [{chosen.min()}, {chosen.max()}], outside [0, {self.num_nodes})",
                "Use numbers of samples of this data set",
            )
        return chosen.astype(np.int64)

    def _find(self, node: int) -> int:
        if not 0 <= node < self.num_nodes:
            raise GraphError(f"There is no node {node} in [0, {self.num_nodes})", "Use a sample of this data set")
        return self._root.item(node)

    def _of(self, root: int) -> list[int]:
        return self._members.get(root) or [root]

    def _size(self, root: int) -> int:
        members = self._members.get(root)
        return len(members) if members else 1

    def _cost(self, root: int) -> int:
        return self._size(root) + len(self._apart.get(root, ()))

    def _unrelated_by_joining(self, root: int, other: int) -> int:
        """Return how many pairs become known as unrelated: what is apart from one of the two is apart from both."""
        one, two = self._apart.get(root, set()), self._apart.get(other, set())
        gained_by_other = sum(map(self._size, one - two)) * self._size(other)
        return gained_by_other + sum(map(self._size, two - one)) * self._size(root)
