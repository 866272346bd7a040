"""The outlier equation against full decompositions, the theory's larger matrix, and closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError
from scipy.optimize import brentq
from scipy.sparse.linalg import svds

import neural_limits as nl
from neural_limits.spectra import OrderParameters, find_roots, known_block, outliers, outliers_from_order_parameters
from neural_limits.spectra._known_block import self_energies
from neural_limits.weights import ConditionedMatrix
from neural_limits.weights._basis import Side
from neural_limits.weights._rows import Rows


@pytest.fixture(scope="module")
def trained():
    """A trained network at width 1200, two hidden weights, both with an outlier well above the edge."""
    return nl.train(
        nl.MLP(2, "tanh"), nl.tasks.toy(), nl.MuP(gamma=4.0), nl.SGD(lr=0.3), width=1200, steps=12, seed=3, record=(12,)
    )


def looked_at(rows, columns, strength, seed):
    """A conditioned matrix with two looks on each side and a learned part made of a backpropagated vector."""
    keys = jax.random.split(jax.random.key(seed), 3)
    weight = ConditionedMatrix.create(keys[0], rows, columns, std=rows**-0.5, tolerance=1e-6)
    h, right, weight = weight.matvec(jax.random.normal(keys[1], (2, columns)))
    _, left, weight = weight.rmatvec(jnp.tanh(h) + jax.random.normal(keys[2], (2, rows)))
    return weight.add_outer(left, right, strength / (rows * columns) ** 0.5)


@pytest.mark.parametrize(("left", "right"), [(1.0, 1.0), (2.0, 0.5), (0.3, 1.7)])
def test_self_energies_solve_their_equations_and_slopes_are_derivatives(left, right):
    sigma = 1.2 * (left**0.5 + right**0.5)
    s = self_energies(sigma, left, right)
    assert s.a * (sigma - s.b) == pytest.approx(right, rel=1e-12)
    assert s.b * (sigma - s.a) == pytest.approx(left, rel=1e-12)
    up, down = (self_energies(sigma + h, left, right) for h in (1e-6, -1e-6))
    assert s.a_slope == pytest.approx((up.a - down.a) / 2e-6, rel=1e-6)
    assert s.b_slope == pytest.approx((up.b - down.b) / 2e-6, rel=1e-6)


def full_matrix(weight, sigma):
    """The theory's F on the bases [Q_B, Ẑ] and [Q_A, R̂], built from explicit bases: twice the size."""
    rows, columns = weight.shape
    l, r = int(weight.rank_left), int(weight.rank_right)
    tau = float(weight.std)
    qb, qa = np.asarray(weight.left_basis)[:l].T, np.asarray(weight.right_basis)[:r].T
    z, c = tau * np.asarray(weight.right_image)[:r].T, np.asarray(weight.core)[:l, :r]
    rr = tau * np.asarray(weight.left_image)[:l].T
    zhat = np.linalg.qr(z - qb @ (qb.T @ z))[0]
    rhat = np.linalg.qr(rr - qa @ (qa.T @ rr))[0]
    known = z @ qa.T + qb @ (rr.T - (rr.T @ qa) @ qa.T) + qb @ c @ qa.T
    m11 = np.hstack([qb, zhat]).T @ known @ np.hstack([qa, rhat])
    s = self_energies(sigma, tau**2 * rows, tau**2 * columns)
    d_left = np.r_[np.zeros(l), np.ones(r)]
    d_right = np.r_[np.zeros(r), np.ones(l)]
    return np.block([[np.diag(sigma - s.a * d_left), -m11], [-m11.T, np.diag(sigma - s.b * d_right)]])


@pytest.mark.parametrize("shape", [(500, 500), (700, 300), (300, 600)])
def test_reduced_equation_has_the_roots_of_the_full_one(shape):
    weight = looked_at(*shape, strength=3.0, seed=1)
    block = known_block(weight, bulk="limit")
    found = find_roots(block, 1.001 * block.edge).values
    assert len(found) >= 1
    for i, sigma in enumerate(found):
        root = brentq(lambda s, i=i: np.linalg.eigvalsh(full_matrix(weight, s))[i], 1.0005 * block.edge, 3 * sigma)
        assert sigma == pytest.approx(root, rel=1e-8)
    assert np.sum(np.linalg.eigvalsh(full_matrix(weight, 1.001 * block.edge)) < 0) == len(found)


def test_prediction_is_the_decomposition_of_the_completed_matrix(trained):
    """On the same realisation the differences are O(1/n), far below the scatter between realisations."""
    for layer, weight in enumerate(trained.weights):
        found = outliers(weight)
        u, s, vt = svds(np.asarray(weight.to_dense(jax.random.key(7))), k=4, random_state=0)
        u, s, vt = u[:, ::-1], s[::-1], vt[::-1]
        assert s[-1] < 1.02 * found.edge  # so that all outliers are among them
        assert found.count == np.sum(s > 1.02 * found.edge) == 1
        assert abs(found.values[0] - s[0]) < 0.012
        core = np.linalg.svd(np.asarray(weight.core))
        left, right = core[0][:, 0] @ np.asarray(weight.left_basis), core[2][0] @ np.asarray(weight.right_basis)
        assert abs(found.left_overlap(left)[0] - abs(u[:, 0] @ left)) < 0.03
        assert abs(found.right_overlap(right)[0] - abs(vt[0] @ right)) < 0.03
        direction = np.random.default_rng(layer).standard_normal(1200)
        assert found.left_overlap(direction)[0] < 0.15  # an unrelated direction
        # the independent-spike formula is off by far more than either error
        wrong = nl.spectra.independent_outliers(weight)
        assert len(wrong) == 0 or abs(wrong[0] - s[0]) > 0.08


@pytest.mark.slow
def test_large_touched_rank_keeps_the_count_right():
    """With most of the width touched the infinite-width form invents outliers; the conditional one does not."""
    weight = ConditionedMatrix.create(jax.random.key(0), 400, 400, std=0.05, tolerance=1e-6)
    for i in range(4):
        a, b = jax.random.normal(jax.random.key(i), (2, 30, 400))
        weight = weight.matvec(a)[2].rmatvec(b)[2]
    assert weight.rank == 240
    edge = 2.0
    assert known_block(weight).count(1.03 * edge) == 0
    assert known_block(weight, bulk="limit").smallest_eigenvalue(edge) < 0
    assert outliers(weight).count == 0


@pytest.mark.slow
def test_random_networks_against_their_own_dense_matrices():
    """Activations, depths, samples and outputs: counts above 1.05 edge and values agree."""
    cases = [("tanh", 1, 4, 1), ("relu", 2, 2, 3), ("gelu", 2, 8, 1)]  # activation, hidden, samples, outputs
    errors, counts = [], []
    for seed in range(6):
        activation, hidden, samples, outputs = cases[seed % 3]
        task = nl.tasks.toy(samples, 8, outputs, 7)
        scheme, optimizer = nl.MuP(gamma=4.0), nl.SGD(0.15)
        run = nl.train(
            nl.MLP(hidden, activation), task, scheme, optimizer, width=600, steps=10, seed=seed, tolerance=1e-2
        )
        assert run.status in ("completed", "diverged")
        if run.status == "diverged":
            continue
        for weight in run.weights:
            s = np.linalg.svd(np.asarray(weight.to_dense(jax.random.key(seed))), compute_uv=False)
            edge = 2 * float(weight.std) * 600**0.5
            found = find_roots(known_block(weight), 1.0001 * edge).values
            true = s[s > 1.1 * edge]
            counts.append(np.sum(found > 1.05 * edge) >= len(true))
            errors += list((found[: len(true)] - true) / edge)
    assert np.mean(counts) == 1
    assert len(errors) >= 6
    assert np.sqrt(np.mean(np.square(errors))) < 0.006


def test_order_parameters_give_the_same_roots_as_vectors():
    n = 900
    rng = np.random.default_rng(2)
    m0 = rng.standard_normal((n, n)) / n**0.5
    a = rng.standard_normal((3, n))
    z = a @ m0.T
    b = np.tanh(z[:2]) + 0.3 * rng.standard_normal((2, n))
    r = b @ m0
    s = -4.0 * rng.standard_normal((2, 3))
    order = OrderParameters(b @ b.T / n, b @ z.T / n, z @ z.T / n, a @ a.T / n, r @ r.T / n, s)
    weight = ConditionedMatrix.create(jax.random.key(0), n, n, std=n**-0.5, tolerance=1e-7)
    qa, qb = np.linalg.qr(a.T)[0].T, np.linalg.qr(b.T)[0].T

    def filled(rows):
        return Rows.zeros(weight.capacity[0], n, weight.core.dtype).add(jnp.asarray(rows), 0)

    right = Side(filled(qa), filled(qa @ m0.T * n**0.5), jnp.asarray(3))
    left = Side(filled(qb), filled(qb @ m0 * n**0.5), jnp.asarray(2))
    core = jnp.zeros_like(weight.core).at[:2, :3].set((qb @ b.T / n) @ s @ (a @ qa.T))
    cross = jnp.zeros_like(core).at[:2, :3].set(qb @ (qa @ m0.T * n**0.5).T)
    weight = eqx.tree_at(lambda w: (w.right, w.left, w.cross, w.core), weight, (right, left, cross, core))
    expected = find_roots(known_block(weight, bulk="limit"), 2.0 + 1e-6).values
    found = outliers_from_order_parameters(order, margin=5e-7).values
    assert len(found) == len(expected) >= 1
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    np.testing.assert_allclose(found[0], np.linalg.norm(m0 + b.T @ s @ a / n, 2), rtol=0.02)


def test_linearly_dependent_fields_do_not_count_twice():
    one, zero = np.ones((2, 2)), np.zeros((2, 2))  # the same field given twice
    order = OrderParameters(bb=one, bz=zero, zz=one, aa=one, rr=one, updates=0.5 * one)
    np.testing.assert_allclose(outliers_from_order_parameters(order).values, [2.5], rtol=1e-10)


def test_independent_spikes_below_the_transition_are_none():
    assert len(nl.spectra.independent_spikes(np.array([0.99]), 100, 100, 0.1)) == 0
    s, n, p, tau = 1.7, 200, 50, 0.1
    found = nl.spectra.independent_spikes(np.array([s]), n, p, tau)
    assert found[0] == pytest.approx(np.sqrt((s**2 + tau**2 * n) * (s**2 + tau**2 * p)) / s)
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal(n), rng.standard_normal(p)
    spike = s * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))
    tops = [np.linalg.norm(tau * rng.standard_normal((n, p)) + spike, 2) for _ in range(100)]
    assert abs(np.mean(tops) - found[0]) < 4 * np.std(tops) / 10 + 0.01


@pytest.mark.parametrize("width", [64, 256, 1024])
def test_untrained_matrices_have_no_outliers(width):
    for i in range(20):
        weight = ConditionedMatrix.create(jax.random.key(i), width, width, std=width**-0.5)
        vectors = jax.random.normal(jax.random.key(100 + i), (4, width))
        for _ in range(3):
            vectors, _, weight = weight.matvec(jnp.tanh(vectors))
            vectors, _, weight = weight.rmatvec(vectors)
        assert outliers(weight).count == 0


@pytest.mark.slow
def test_escape_is_where_the_limit_form_first_has_an_outlier():
    stops = tuple(range(8, 22))
    run = nl.train(
        nl.MLP(2), nl.tasks.toy(), nl.MuP(gamma=4.0), nl.SGD(lr=0.05), width=2000, steps=22, seed=1, record=stops
    )
    values = run.data.edge_eigenvalue.values
    for layer in (0, 1):
        assert np.all(np.diff(values[:, layer]) < 0)
    step = nl.spectra.escape_step(np.array(stops), values[:, 1])
    assert stops[0] < step < stops[-1]
    # the outlier is reported (above the Tracy-Widom level) only later: its distance to the edge grows quadratically
    reported = np.array(stops)[np.isfinite(run.data.singular_value.values[:, 1]).any(-1)]
    assert len(reported) == 0 or reported[0] >= step


def test_bad_input_is_one_clear_line(trained):
    with pytest.raises(ValueError, match=r"`threshold` must not lie below the bulk's edge .*got 1.0"):
        outliers(trained.weights[0], threshold=1.0)
    found = outliers(trained.weights[0])
    with pytest.raises(ValueError, match=r"`e` must be one direction of length 1200; got shape \(7,\)"):
        found.left_overlap(np.ones(7))
    with pytest.raises(ValueError, match="`e` must be finite and not zero"):
        found.right_overlap(np.zeros(1200))
    # (with annotations enforced, as here, the type check speaks first)
    with pytest.raises((ValueError, TypeCheckError)):
        OrderParameters(np.eye(1), np.eye(1), np.eye(2), np.eye(1), np.eye(1), np.eye(1))
