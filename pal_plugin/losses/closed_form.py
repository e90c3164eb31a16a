"""The minimiser of the VIC² loss in closed form: without a model (spectral embedding), and in a kernel's space.

Cabannes, Bottou, LeCun and Balestriero, "Active Self-Supervised Learning: A Few Low-Cost Relationships Are All You
Need", ICCV 2023: ‖ZZᵀ − G‖² + 2λ·tr(ZᵀK⁻¹Z) is, up to a constant, ‖ZZᵀ − (G − λK⁻¹)‖², so that the best Z of k columns
is made of the top k eigenpairs of G − λK⁻¹ (Eckart and Young).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from pal_plugin.errors import ConfigError, GraphError

Matrix: TypeAlias = npt.NDArray[np.float64]
Kernel: TypeAlias = Callable[[Matrix, Matrix], npt.ArrayLike]


def spectral_embedding(graph: Any, k: int, *, symmetrise: bool = False) -> Matrix:
    """Return the Z of k columns that minimises ‖ZZᵀ − G‖², the VIC² loss without a model.

    Args:
        graph: G, (N, N), symmetric: an array, or a SciPy sparse matrix (which is made dense).
        k: columns of Z, in [1, N].
        symmetrise: replace G by (G + Gᵀ)/2, which has the same minimiser.

    Returns:
        Z (N, k) float64: the eigenvectors of the k largest eigenvalues μ of G, times √max(μ, 0), largest first. Columns
        beyond G's positive eigenvalues are zero: no real Z gains from them. The entry of largest magnitude in a column
        is positive.

    Raises:
        GraphError: G is no matrix, not square, not finite, or not symmetric.
        ConfigError: k is no integer in [1, N].
    """
    target = _graph(graph, symmetrise)
    vectors, values = _top(target, k)
    return vectors * np.sqrt(np.maximum(values, 0))


def laplacian_kernel(A: Matrix, B: Matrix, sigma: float = 1.0) -> Matrix:
    """Return exp(−‖a − b‖/σ), (n, m), of A (n, d) and B (m, d), norm Euclidean (scikit-learn's kernel has L1)."""
    K: Matrix = cdist(A, B)
    K /= -sigma
    return np.exp(K, out=K)


class KernelEmbedding:
    """Functions of a kernel's space that minimise ‖ZZᵀ − G‖² + 2λ·tr(ZᵀK⁻¹Z), Z their values at the samples.

    Z = V·√max(μ, 0), V and μ the top k eigenpairs of G − λK⁻¹; out of sample φ(x) = K(x, X)·K⁻¹·Z.

    Where K is singular (samples that occur twice, say), Z has to lie in its range: nothing else is the values of
    functions of that space. Then the eigenpairs are those of P·G·P − λK⁺, with P the projector on the range and K⁺ the
    pseudo-inverse, and `transform` still gives Z at the samples.

    Args:
        k: dimensions of the embedding, in [1, N].
        regularisation: λ, not negative.
        kernel: "laplacian", exp(−‖x − x'‖/σ), or a function of (n, d) and (m, d) arrays that returns (n, m) values.
        sigma: σ of the Laplacian kernel, in the units of X.
        scale: False leaves out √max(μ, 0), as the authors' notebooks do. Then directions of negative μ remain.
        symmetrise: replace an asymmetric G by (G + Gᵀ)/2, which has the same minimiser, instead of refusing it.
        atol: eigenvalues of K up to this, or up to N times the machine precision of its largest one, count as zero.

    Attributes:
        embedding_: Z, (N, k) float64.
        eigenvalues_: μ, (k,), largest first.
        dual_coef_: K⁻¹·Z, (N, k): `φ(x) = K(x, X)·dual_coef_`.
        rank_: the rank of K.
        X_fit_: X, (N, d).

    Raises:
        ConfigError: a parameter outside its range.
    """

    def __init__(
        self,
        k: int,
        *,
        regularisation: float = 1e-3,
        kernel: str | Kernel = "laplacian",
        sigma: float = 1.0,
        scale: bool = True,
        symmetrise: bool = False,
        atol: float = 0.0,
    ) -> None:
        if not callable(kernel) and kernel != "laplacian":
            raise ConfigError(f"There is no kernel {kernel!r}", "Pass 'laplacian' or a function of two arrays")
        _check_whole(k)
        for name, value, fits in (
            ("regularisation", regularisation, regularisation >= 0),
            ("sigma", sigma, sigma > 0),
            ("atol", atol, atol >= 0),
        ):
            if not (fits and np.isfinite(value)):
                raise ConfigError(f"{name}={value} is out of range", f"Pass a finite {name} {_LEAST[name]}")
        self.k = k
        self.regularisation = regularisation
        self.kernel = kernel
        self.sigma = sigma
        self.scale = scale
        self.symmetrise = symmetrise
        self.atol = atol

    def fit(self, X: npt.ArrayLike, graph: Any) -> KernelEmbedding:
        """Fit to the samples X (N, d) and their graph G (N, N), an array or a SciPy sparse matrix.

        Raises:
            ConfigError: X is not a finite (N, d) array, the kernel's values are not a finite, symmetric, positive
                semi-definite matrix, or k is outside [1, N].
            GraphError: G is no matrix, not (N, N), not finite, or not symmetric.
        """
        return self.fit_kernel(X).fit_graph(graph)

    def fit_kernel(self, X: npt.ArrayLike) -> KernelEmbedding:
        """Do the part of `fit` that needs no graph, once for several graphs over the samples X (N, d).

        Raises:
            ConfigError: as in `fit`.
        """
        self.X_fit_ = _samples(X)
        K = self.kernel_matrix(self.X_fit_, self.X_fit_)
        if K.size and np.abs(K - K.T).max() > _ROUNDING * np.abs(K).max():
            raise ConfigError("The kernel is not symmetric", "Pass one with k(x, y) = k(y, x)")
        values, vectors = eigh(K)
        zero = max(self.atol, values[-1] * len(K) * np.finfo(np.float64).eps)
        if values[0] < -max(zero, _ROUNDING * values[-1]):
            raise ConfigError(
                f"The kernel is not positive semi-definite: an eigenvalue of its matrix is {values[0]:.3g}",
                "Pass a positive semi-definite one",
            )
        basis = vectors[:, values > zero]
        self.rank_ = basis.shape[1]
        self._inverse = (basis / values[values > zero]) @ basis.T
        self._projector = basis @ basis.T if self.rank_ < len(K) else None
        return self

    def fit_graph(self, graph: Any) -> KernelEmbedding:
        """Fit to the graph G (N, N) over the samples that `fit_kernel` had; costs one eigenproblem.

        Raises:
            ConfigError: `fit_kernel` has not run, or k is outside [1, N].
            GraphError: as in `fit`.
        """
        self._check_fitted("_inverse")
        G = _graph(graph, self.symmetrise)
        if len(G) != len(self.X_fit_):
            raise GraphError(f"The graph has {len(G)} nodes, and there are {len(self.X_fit_)} samples", _FIT)
        P = self._projector
        target = (G if P is None else P @ G @ P) - self.regularisation * self._inverse
        vectors, self.eigenvalues_ = _top(target, self.k)
        if P is not None:
            vectors = P @ vectors  # an eigenvalue of zero may have come from outside the range
        self.embedding_ = vectors * np.sqrt(np.maximum(self.eigenvalues_, 0)) if self.scale else vectors
        self.dual_coef_ = self._inverse @ self.embedding_
        return self

    def transform(self, X: npt.ArrayLike) -> Matrix:
        """Return φ (n, k) of the samples X (n, d).

        Raises:
            ConfigError: X is not a finite (n, d) array of the dimension fitted, or nothing has been fitted.
        """
        self._check_fitted("dual_coef_")
        samples = _samples(X)
        if samples.shape[1] != self.X_fit_.shape[1]:
            raise ConfigError(
                f"X has {samples.shape[1]} columns and was fitted with {self.X_fit_.shape[1]}", "Pass the same features"
            )
        return np.asarray(self.kernel_matrix(samples, self.X_fit_) @ self.dual_coef_)

    def fit_transform(self, X: npt.ArrayLike, graph: Any) -> Matrix:
        """Fit, and return the embedding Z (N, k) of the samples X (N, d)."""
        return self.fit(X, graph).embedding_

    def kernel_matrix(self, A: Matrix, B: Matrix) -> Matrix:
        """Return the kernel's values (n, m) between A (n, d) and B (m, d).

        Raises:
            ConfigError: a kernel of one's own returns another shape, or values that are not finite.
        """
        if not callable(self.kernel):
            return laplacian_kernel(A, B, self.sigma)
        K = np.asarray(self.kernel(A, B), dtype=np.float64)
        if K.shape != (len(A), len(B)) or not np.isfinite(K).all():
            raise ConfigError(
                f"The kernel of {len(A)} and {len(B)} samples returned an array of shape {K.shape}"
                f"{'' if np.isfinite(K).all() else ' with values that are not finite'}",
                f"It must return finite values of shape {(len(A), len(B))}",
            )
        return K

    def _check_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise ConfigError("The embedding has not been fitted", _FIT)


_ROUNDING = 1e-8  # relative to the largest entry: what is below is rounding, not asymmetry
_FIT = "Call fit(X, graph) with the samples and the graph over them"
_LEAST = {"regularisation": "of 0 or more", "sigma": "above 0", "atol": "of 0 or more"}


def _samples(X: npt.ArrayLike) -> Matrix:
    samples = np.asarray(X, dtype=np.float64)
    if samples.ndim != 2 or not samples.size or not np.isfinite(samples).all():
        raise ConfigError(
            f"X of shape {samples.shape} is not a finite (N, d) array of samples", "Pass one row for each sample"
        )
    return samples


def _graph(graph: Any, symmetrise: bool) -> Matrix:
    try:
        G = np.asarray(graph.toarray() if hasattr(graph, "toarray") else graph, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise GraphError(
            f"A {type(graph).__name__} is no matrix of numbers",
            "Pass an (N, N) array or a SciPy sparse matrix; of a SimilarityGraph, the matrix of the pairs that it "
            "relates: pal_plugin.graph.relations(graph).related(i[:, None], i) with i = numpy.arange(N)",
        ) from error
    if G.ndim != 2 or G.shape[0] != G.shape[1] or not G.size:
        raise GraphError(f"A graph of shape {G.shape} is not square", "Pass one row and column for each sample")
    if not np.isfinite(G).all():
        row, column = np.argwhere(~np.isfinite(G))[0]
        raise GraphError(f"The graph's weight from {row} to {column} is {G[row, column]}", "Pass finite weights")
    if symmetrise:
        return (G + G.T) / 2
    apart = np.abs(G - G.T)
    if apart.max() > _ROUNDING * np.abs(G).max():
        row, column = np.unravel_index(int(apart.argmax()), G.shape)
        raise GraphError(
            f"The graph is not symmetric: the weight from {row} to {column} is {G[row, column]:g}, and back "
            f"{G[column, row]:g}",
            "Pass symmetrise=True for (G + Gᵀ)/2, which has the same minimiser",
        )
    return G


def _check_whole(k: int) -> None:
    if not isinstance(k, (int, np.integer)) or isinstance(k, bool):
        raise ConfigError(f"k={k!r} is no number of columns", "Pass an integer of 1 or more")


def _top(target: Matrix, k: int) -> tuple[Matrix, Matrix]:
    """Return the eigenvectors (N, k) of the k largest eigenvalues, and these; ordered as in `spectral_embedding`."""
    size = len(target)
    _check_whole(k)
    if not 1 <= k <= size:
        raise ConfigError(f"k={k} columns cannot be had of {size} samples", f"Pass k in [1, {size}]")
    values, vectors = eigh(target, subset_by_index=[size - k, size - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(k)]
    return vectors * np.sign(largest), values
