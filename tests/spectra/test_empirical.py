"""Measured singular values against full decompositions."""

import jax
import numpy as np
import pytest

from neural_limits.spectra import leading_singular_triplets, outliers, top_singular_values
from neural_limits.weights import DenseMatrix


@pytest.mark.parametrize("shape", [(40, 60), (700, 500)])
def test_leading_triplets_miss_nothing_above_the_threshold(shape):
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(shape) / shape[0] ** 0.5
    u, v = np.linalg.qr(rng.standard_normal((shape[0], 12)))[0], np.linalg.qr(rng.standard_normal((shape[1], 12)))[0]
    strengths = np.array([9, 9, 9, 8, 7, 6, 5, 5, 4, 4, 4, 4.0])  # more than one Lanczos batch, with multiplicities
    matrix = noise * 0.1 + (u * strengths) @ v.T
    full = np.linalg.svd(matrix, compute_uv=False)
    values, left, right = leading_singular_triplets(matrix, 2.0)
    assert len(values) == 12
    np.testing.assert_allclose(values, full[:12], rtol=1e-6)
    np.testing.assert_allclose(np.einsum("kn,np,kp->k", left, matrix, right), values, rtol=1e-6)


def test_top_singular_values():
    matrix = np.random.default_rng(1).standard_normal((600, 400)).astype(np.float32)
    np.testing.assert_allclose(top_singular_values(matrix, 3), np.linalg.svd(matrix, compute_uv=False)[:3], rtol=1e-4)


def test_dense_outliers_and_overlaps():
    n = 500
    weight = DenseMatrix.create(jax.random.key(0), n, n, std=n**-0.5)
    assert outliers(weight).count == 0
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 1, n))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    spiked = weight.add_outer(b, a, 4.0)
    found = outliers(spiked)
    u, s, vt = np.linalg.svd(np.asarray(spiked.value))
    assert found.count == 1
    assert found.values[0] == pytest.approx(s[0], rel=1e-6)
    assert found.left_overlap(b[0])[0] == pytest.approx(abs(u[:, 0] @ b[0]), rel=1e-4)
    assert found.right_overlap(a[0])[0] == pytest.approx(abs(vt[0] @ a[0]), rel=1e-4)
