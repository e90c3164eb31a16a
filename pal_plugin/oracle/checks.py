"""What samples, seeds and labels have to be for a question to be asked about them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import OracleError

Mask: TypeAlias = npt.NDArray[np.bool_]
Nodes: TypeAlias = npt.NDArray[np.int64]
Signs: TypeAlias = npt.NDArray[np.int8]


def vector(name: str, values: npt.ArrayLike) -> Nodes:
    """Return a vector of integers as int64.

    Raises:
        OracleError: not a vector, or not of integers.
    """
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise OracleError(
            f"{name} must be a vector of integers, found {array.dtype} of shape {array.shape}", "Correct it"
        )
    return array.astype(np.int64)


def within(name: str, values: npt.ArrayLike, num_samples: int) -> Nodes:
    """Return a vector of sample numbers as int64.

    Raises:
        OracleError: not a vector of integers, or one outside [0, N).
    """
    nodes = vector(name, values)
    outside = nodes[(nodes < 0) | (nodes >= num_samples)]
    if outside.size:
        raise OracleError(f"{name} holds sample {outside[0]}, outside [0, {num_samples})", "Ask about this data set")
    return nodes


def distinct(name: str, values: npt.ArrayLike, num_samples: int) -> Nodes:
    """Return a vector of different sample numbers as int64.

    Raises:
        OracleError: not a vector of integers, one outside [0, N), or one that comes twice.
    """
    nodes = within(name, values, num_samples)
    numbers, counts = np.unique(nodes, return_counts=True)
    if (counts > 1).any():
        raise OracleError(f"{name} holds sample {numbers[counts > 1][0]} twice", "Name every sample once")
    return nodes


def check_size(num_samples: int) -> None:
    """Refuse data of which no two samples can be compared.

    Raises:
        OracleError: fewer than two samples.
    """
    if num_samples < 2:
        raise OracleError(f"There are no pairs among {num_samples} samples", "Ask about two samples or more")


def check_count(name: str, value: int) -> int:
    """Return a number of things to be shown.

    Raises:
        OracleError: not an integer of 1 or more.
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise OracleError(f"{name}={value!r} asks nothing", f"Pass an integer {name} >= 1")
    return int(value)


def check_seed(seed: int) -> int:
    """Return the seed of a generator.

    Raises:
        OracleError: not an integer of 0 or more.
    """
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise OracleError(f"seed={seed!r} is no seed", "Pass an integer of 0 or more")
    return int(seed)


def classes_of(labels: npt.ArrayLike) -> Nodes:
    """Return labels (N,) as int64, -1 for an unlabelled sample.

    Raises:
        OracleError: not a vector of integers, or a label below -1.
    """
    classes = vector("labels", labels)
    wrong = np.flatnonzero(classes < -1)
    if wrong.size:
        raise OracleError(
            f"Sample {wrong[0]} has the label {classes[wrong[0]]}, which is no class",
            "Number the classes from 0, and give an unlabelled sample -1",
        )
    return classes


def first_of_each_class(labels: npt.ArrayLike) -> Nodes:
    """Return the first sample of every class, (C,) int64, in the order of the classes' numbers; -1 is unlabelled.

    Raises:
        OracleError: labels that are not (N,) integers of -1 or more, or all of them -1.
    """
    classes = classes_of(labels)
    names, first = np.unique(classes, return_index=True)
    if not (names != -1).any():
        raise OracleError("No sample has a label", "Name a known sample of each class yourself")
    return np.asarray(first[names != -1], dtype=np.int64)
