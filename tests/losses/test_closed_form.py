"""The closed form is the minimiser, in and out of the sample, for graphs and kernels of any rank."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import eigh, pinvh
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from pal_plugin.errors import ConfigError, GraphError
from pal_plugin.graph import SimilarityGraph, relations
from pal_plugin.losses import graph_vic2_loss
from pal_plugin.losses.closed_form import KernelEmbedding, laplacian_kernel, spectral_embedding

N, K, LAMBDA, SIGMA = 24, 3, 0.05, 0.7


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def symmetric(generator, size=N):
    G = generator.normal(size=(size, size))
    return G + G.T


def linear(A, B):
    return A @ B.T


def by_loops(A, B):
    return np.array([[np.exp(-np.sqrt(((a - b) ** 2).sum()) / SIGMA) for b in B] for a in A])


def objective(Z, G, inverse):
    return np.sum((Z @ Z.T - G) ** 2) + 2 * LAMBDA * np.trace(Z.T @ inverse @ Z)


def test_spectral_embedding_is_a_stationary_point_of_vic2_and_its_least(generator):
    G = symmetric(generator)
    Z = torch.from_numpy(spectral_embedding(G, K)).requires_grad_()
    loss = graph_vic2_loss(Z, torch.from_numpy(G))
    loss.backward()
    assert Z.grad.abs().max() < 1e-10
    # Eckart and Young: what is left are the squares of the other eigenvalues
    assert loss.item() == pytest.approx(np.sum(np.linalg.eigvalsh(G)[:-K] ** 2), rel=1e-12)
    for size in (1e-3, 1e-1, 1):
        for _ in range(20):
            other = Z.detach() + size * torch.from_numpy(generator.normal(size=(N, K)))
            assert graph_vic2_loss(other, torch.from_numpy(G)) > loss


def test_classes_are_embedded_without_loss_and_further_columns_are_zero(generator):
    labels = generator.integers(0, 4, N)
    G = (labels[:, None] == labels).astype(float)
    Z = spectral_embedding(G, 6)
    assert np.allclose(Z @ Z.T, G, atol=1e-12)
    assert np.abs(Z[:, 4:]).max() < 1e-6  # √ of the rounding of a zero eigenvalue
    assert np.array_equal(spectral_embedding(csr_matrix(G), 6), Z)


def test_nothing_is_gained_from_negative_eigenvalues():
    assert np.array_equal(spectral_embedding(-np.eye(3), 2), np.zeros((3, 2)))


def test_asymmetric_graphs_are_symmetrised_only_if_asked(generator):
    G = generator.normal(size=(N, N))
    with pytest.raises(GraphError, match=r"not symmetric.*symmetrise=True"):
        spectral_embedding(G, K)
    with pytest.raises(GraphError, match="not symmetric"):
        KernelEmbedding(K).fit(generator.normal(size=(N, 2)), G)
    Z = spectral_embedding(G, K, symmetrise=True)
    assert np.abs((2 * Z @ Z.T - G - G.T) @ Z).max() < 1e-10  # the gradient for G itself


def test_kernel_embedding_is_the_least_of_many_descents(generator):
    X, G = generator.normal(size=(N, 2)), symmetric(generator)
    inverse = np.linalg.inv(by_loops(X, X))
    Z = KernelEmbedding(K, regularisation=LAMBDA, sigma=SIGMA).fit_transform(X, G)
    assert np.abs((Z @ Z.T - G) @ Z + LAMBDA * inverse @ Z).max() < 1e-9
    least = objective(Z, G, inverse)

    def value_and_gradient(flat):
        Y = flat.reshape(N, K)
        gradient = 4 * ((Y @ Y.T - G) @ Y + LAMBDA * inverse @ Y)
        return objective(Y, G, inverse), gradient.ravel()

    found = [minimize(value_and_gradient, generator.normal(size=N * K), jac=True).fun for _ in range(5)]
    assert min(found) == pytest.approx(least, rel=1e-6)
    assert min(found) > least - 1e-9 * abs(least)


def test_out_of_sample_is_the_kernel_expansion_and_reproduces_the_sample(generator):
    X, G = generator.normal(size=(N, 2)), symmetric(generator)
    model = KernelEmbedding(K, regularisation=LAMBDA, sigma=SIGMA).fit(X, G)
    assert np.allclose(model.transform(X), model.embedding_, atol=1e-10)
    others = generator.normal(size=(7, 2))
    expected = by_loops(others, X) @ np.linalg.inv(by_loops(X, X)) @ model.embedding_
    assert np.allclose(model.transform(others), expected, atol=1e-10)
    own = KernelEmbedding(K, regularisation=LAMBDA, kernel=by_loops).fit(X, G)
    assert np.allclose(own.transform(others), expected, atol=1e-9)


@pytest.mark.parametrize("kernel", ["twice", "linear"])
def test_with_a_singular_kernel_it_is_the_least_within_the_kernels_range(generator, kernel):
    X = generator.normal(size=(N, 2))
    if kernel == "twice":
        X[N // 2 :] = X[: N // 2]
    model = KernelEmbedding(K, regularisation=LAMBDA, sigma=SIGMA, kernel=linear if kernel == "linear" else "laplacian")
    G = symmetric(generator)
    Z = model.fit_transform(X, G)
    matrix = model.kernel_matrix(X, X)
    assert model.rank_ == (2 if kernel == "linear" else N // 2)
    assert np.allclose(model.transform(X), Z, atol=1e-9)
    least = objective(Z, G, np.linalg.pinv(matrix, hermitian=True))

    def value_and_gradient(flat):  # Z = K·A, so that tr(ZᵀK⁻¹Z) = tr(AᵀKA)
        A = flat.reshape(N, K)
        Y = matrix @ A
        value = np.sum((Y @ Y.T - G) ** 2) + 2 * LAMBDA * np.trace(A.T @ Y)
        return value, (4 * matrix @ (Y @ Y.T - G) @ Y + 4 * LAMBDA * Y).ravel()

    starts = generator.normal(size=(5, N * K))
    found = [minimize(value_and_gradient, start, jac=True, options={"maxiter": 5000}).fun for start in starts]
    assert min(found) == pytest.approx(least, rel=1e-5)
    assert min(found) > least - 1e-9 * abs(least)


def test_without_regularisation_it_is_the_spectral_embedding(generator):
    X, G = generator.normal(size=(N, 2)), symmetric(generator)
    assert np.allclose(KernelEmbedding(K, regularisation=0).fit_transform(X, G), spectral_embedding(G, K))


def test_unscaled_is_what_the_notebooks_compute(generator):
    X, others = generator.normal(size=(N, 2)), generator.normal(size=(9, 2))
    labels = generator.integers(0, 2, N)
    G = (labels[:, None] == labels).astype(float)
    scaled_inverse = 1e-3 * pinvh(by_loops(X, X), atol=1e-5 / N)
    _, vectors = eigh(G - scaled_inverse, subset_by_index=[N - 5, N - 1])
    features = by_loops(others, X) @ scaled_inverse @ vectors
    model = KernelEmbedding(5, regularisation=1e-3, sigma=SIGMA, scale=False, atol=1e-5 / N).fit(X, G)
    assert (model.eigenvalues_[2:] < 0).all()  # directions that scaling would have dropped
    found = 1e-3 * model.transform(others)[:, ::-1]
    signs = np.sign((found * features).sum(axis=0))
    assert np.allclose(found * signs, features, atol=1e-10)


def test_one_kernel_serves_several_graphs(generator):
    X = generator.normal(size=(N, 2))
    model = KernelEmbedding(K).fit_kernel(X)
    for _ in range(2):
        G = symmetric(generator)
        assert np.array_equal(model.fit_graph(G).embedding_, KernelEmbedding(K).fit_transform(X, G))


def test_the_sign_of_a_column_does_not_hang_on_lapack(generator):
    Z = spectral_embedding(symmetric(generator), K)
    assert (Z[np.abs(Z).argmax(axis=0), np.arange(K)] > 0).all()


def test_laplacian_kernel_is_of_the_euclidean_norm(generator):
    A, B = generator.normal(size=(5, 3)), generator.normal(size=(4, 3))
    assert np.allclose(laplacian_kernel(A, B, SIGMA), by_loops(A, B), atol=1e-14)


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (np.ones((2, 3)), r"shape \(2, 3\) is not square"),
        (np.ones(3), "not square"),
        (np.empty((0, 0)), "not square"),
        (np.array([[0, np.nan], [0, 0]]), "from 0 to 1 is nan"),
        (np.array([[0, np.inf], [np.inf, 0]]), "from 0 to 1 is inf"),
    ],
)
def test_bad_graphs_are_refused(graph, said):
    with pytest.raises(GraphError, match=said):
        spectral_embedding(graph, 1)


@pytest.mark.parametrize("k", [0, -1, 4])
def test_columns_that_cannot_be_had_are_refused(k):
    with pytest.raises(ConfigError, match=rf"k={k} .*\[1, 3\]"):
        spectral_embedding(np.eye(3), k)


@pytest.mark.parametrize("k", [1.5, 2.0, True, "2", None])
def test_columns_that_are_no_number_are_refused(k):
    with pytest.raises(ConfigError, match=rf"k={k!r} is no number of columns"):
        spectral_embedding(np.eye(3), k)
    with pytest.raises(ConfigError, match=rf"k={k!r} is no number of columns"):
        KernelEmbedding(k)


def test_a_similarity_graph_is_embedded_by_its_matrix():
    graph = SimilarityGraph.from_edges(4, [0, 1], [1, 2], builder={"name": "pairs", "transitive": True})
    for wrong in (graph, [[1, 0], [0]], [["a"]]):
        with pytest.raises(GraphError, match=rf"A {type(wrong).__name__} is no matrix.*related\(i\[:, None\], i\)"):
            spectral_embedding(wrong, 1)
    i = np.arange(4)
    Z = spectral_embedding(relations(graph).related(i[:, None], i), 1)  # as the message says
    assert Z[:, 0] == pytest.approx([np.sqrt(2 / 3)] * 3 + [0])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"regularisation": -1e-3}, "regularisation=-0.001"),
        ({"regularisation": float("nan")}, "regularisation=nan"),
        ({"sigma": 0.0}, "sigma=0.0"),
        ({"atol": -1.0}, "atol=-1.0"),
        ({"kernel": "gaussian"}, "no kernel 'gaussian'"),
    ],
)
def test_parameters_out_of_range_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        KernelEmbedding(2, **options)


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        (lambda A, B: np.ones((len(A), 1)), "returned an array of shape"),
        (lambda A, B: np.full((len(A), len(B)), np.nan), "not finite"),
        (lambda A, B: A[:, :1] - B[:, :1].T, "not symmetric"),
        (lambda A, B: -linear(A, B), "not positive semi-definite"),
    ],
)
def test_functions_that_are_no_kernels_are_refused(generator, kernel, said):
    with pytest.raises(ConfigError, match=said):
        KernelEmbedding(2, kernel=kernel).fit(generator.normal(size=(5, 2)), np.eye(5))


def test_samples_that_do_not_fit_are_refused(generator):
    X = generator.normal(size=(5, 2))
    model = KernelEmbedding(2)
    with pytest.raises(ConfigError, match="has not been fitted"):
        model.transform(X)
    with pytest.raises(ConfigError, match="has not been fitted"):
        model.fit_graph(np.eye(5))
    with pytest.raises(GraphError, match="4 nodes, and there are 5 samples"):
        model.fit(X, np.eye(4))
    with pytest.raises(ConfigError, match=r"shape \(5,\) is not"):
        model.fit(X[:, 0], np.eye(5))
    with pytest.raises(ConfigError, match="finite"):
        model.fit(np.full((5, 2), np.nan), np.eye(5))
    with pytest.raises(ConfigError, match="3 columns and was fitted with 2"):
        model.fit(X, np.eye(5)).transform(np.ones((1, 3)))
