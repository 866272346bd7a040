"""Conditioned matrices as linear algebra: whatever the looks, they are one fixed matrix, seen in part."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_limits.weights import ConditionedMatrix, check_tolerance

# One shape for most tests, so that they share what JAX compiles.
ROWS, COLUMNS, BLOCK = 9, 13, 3
TIGHT = 1e-6  # nothing generic is left out

matvec = jax.jit(lambda w, a: w.matvec(a))
rmatvec = jax.jit(lambda w, b: w.rmatvec(b))
to_dense = jax.jit(lambda w, key: w.to_dense(key))
add_outer = jax.jit(lambda w, left, right, factor: w.add_outer(left, right, factor))
scale = jax.jit(lambda w, factor: w.scale(factor))


def create(seed: int = 0, rows: int = ROWS, columns: int = COLUMNS, **options: object) -> ConditionedMatrix:
    """A matrix with room for all its directions and more, so that no look has to grow it."""
    return ConditionedMatrix.create(
        jax.random.key(seed), rows, columns, **{"std": 0.7, "tolerance": TIGHT, "capacity": 64} | options
    )


def touched(weight: ConditionedMatrix, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Basis and image up to the rank."""
    rank = int(getattr(weight, f"rank_{side}"))
    return np.asarray(getattr(weight, f"{side}_basis"))[:rank], np.asarray(getattr(weight, f"{side}_image"))[:rank]


def complete(weight: ConditionedMatrix, rng: np.random.Generator) -> np.ndarray:
    """The whole matrix with the unseen rest drawn here: the conditional law as the theory writes it, in columns."""
    (qb, wt_qb), (qa, w_qa) = (
        (basis.T, image.T) for basis, image in (touched(weight, "left"), touched(weight, "right"))
    )
    outside_a, outside_b = np.eye(len(qa)) - qa @ qa.T, np.eye(len(qb)) - qb @ qb.T
    fresh = rng.standard_normal(weight.shape)
    bulk = w_qa @ qa.T + qb @ wt_qb.T @ outside_a + outside_b @ fresh @ outside_a
    core = np.asarray(weight.core)[: qb.shape[1], : qa.shape[1]]
    return float(weight.std) * bulk + qb @ core @ qa.T


def assert_consistent(weight: ConditionedMatrix, atol: float = 1e-10) -> None:
    """Bases orthonormal, zero rows past the rank, and Q_B (W Q_A) = (Wᵀ Q_B) Q_A from both sides."""
    for side in ("left", "right"):
        basis, _ = touched(weight, side)
        np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=atol)
        for name in ("basis", "image"):
            assert not np.asarray(getattr(weight, f"{side}_{name}"))[len(basis) :].any()
    (left, left_image), (right, right_image) = touched(weight, "left"), touched(weight, "right")
    np.testing.assert_allclose(left @ right_image.T, left_image @ right.T, atol=atol)
    np.testing.assert_allclose(left @ right_image.T, weight.cross[: len(left), : len(right)], atol=atol)


class Vectors:
    """Blocks of vectors for one side: new, seen before, combinations, chosen from the other side's answers."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.seen: list[np.ndarray] = []

    def block(self, kind: str, count: int, rng: np.random.Generator, answers: list[np.ndarray]) -> np.ndarray:
        new = rng.standard_normal((count, self.length))
        known = np.concatenate(self.seen) if self.seen else new
        block = {
            "new": lambda: new,
            "large": lambda: 1e5 * new,
            "small": lambda: 1e-5 * new,
            "zero": lambda: 0 * new,
            "repeated": lambda: known[rng.integers(len(known), size=count)],
            "combined": lambda: rng.standard_normal((count, len(known))) @ known,
            "duplicates": lambda: np.repeat(new[:1], count, axis=0),
            "adaptive": lambda: np.tanh(answers[-1][rng.integers(len(answers[-1]), size=count)]) if answers else new,
        }[kind]()
        self.seen.append(block)
        return block


LOOKS = st.lists(
    st.tuples(
        st.sampled_from(["right", "left"]),
        st.sampled_from(["new", "large", "small", "zero", "repeated", "combined", "duplicates", "adaptive"]),
    ),
    min_size=2,
    max_size=12,
)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(looks=LOOKS, seed=st.integers(0, 10**6))
def test_any_interleaving_of_looks_is_one_fixed_matrix(looks: list[tuple[str, str]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = create(seed)
    vectors = {"right": Vectors(COLUMNS), "left": Vectors(ROWS)}
    values: dict[str, list[np.ndarray]] = {"right": [], "left": []}
    for side, kind in looks:
        other = "left" if side == "right" else "right"
        block = vectors[side].block(kind, BLOCK, rng, values[other])
        value, coordinates, weight = (matvec if side == "right" else rmatvec)(weight, jnp.asarray(block))
        basis = np.asarray(getattr(weight, f"{side}_basis"))
        size = np.abs(block).max()
        np.testing.assert_allclose(np.asarray(coordinates) @ basis, block, atol=2 * TIGHT * size)
        values[side].append(np.asarray(value))
    assert int(weight.lost) == 0
    assert_consistent(weight)

    seen = {side: np.concatenate(v.seen) if v.seen else np.zeros((0, v.length)) for side, v in vectors.items()}
    answers = {
        side: np.concatenate(v) if v else np.zeros((0, ROWS if side == "right" else COLUMNS))
        for side, v in values.items()
    }
    sizes = {side: np.linalg.norm(v, axis=1) for side, v in seen.items()}
    # <b, M a> = <Mᵀ b, a> for all pairs, whatever was looked at between
    scale_of_pairs = np.outer(sizes["left"], sizes["right"]) + 1e-30
    forward, backward = seen["left"] @ answers["right"].T, answers["left"] @ seen["right"].T
    np.testing.assert_allclose(forward / scale_of_pairs, backward / scale_of_pairs, atol=1e-10)
    # any completion gives the same products on everything seen
    for key in (1, 2):
        dense = np.asarray(to_dense(weight, jax.random.key(key)))
        for side, matrix in (("right", dense), ("left", dense.T)):
            exact = seen[side] @ matrix.T
            norm = sizes[side][:, None] + 1e-30
            np.testing.assert_allclose(answers[side] / norm, exact / norm, atol=1e-9)


def touch(weight: ConditionedMatrix, rng: np.random.Generator) -> tuple[ConditionedMatrix, tuple, tuple]:
    """Three vectors on each side: the matrix, (a, coordinates), (b, coordinates)."""
    a = rng.standard_normal((3, weight.shape[1]))
    b = rng.standard_normal((3, weight.shape[0]))
    _, right, weight = matvec(weight, jnp.asarray(a))
    _, left, weight = rmatvec(weight, jnp.asarray(b))
    return weight, (a, right), (b, left)


def test_learning_equals_the_same_operations_on_the_completed_matrix() -> None:
    rng, key = np.random.default_rng(0), jax.random.key(5)
    weight, (a, right), (b, left) = touch(create(), rng)
    dense = np.asarray(to_dense(weight, key))
    learned = 0.3 * b.T @ a
    np.testing.assert_allclose(
        np.asarray(weight.left_basis).T @ weight.outer(left, right) @ weight.right_basis, b.T @ a, atol=1e-10
    )

    moved = add_outer(weight, left, right, 0.3)
    np.testing.assert_allclose(to_dense(moved, key), dense + learned, atol=1e-10)
    np.testing.assert_allclose(
        to_dense(weight.add_core(0.3 * weight.outer(left, right)), key), dense + learned, atol=1e-10
    )
    np.testing.assert_allclose(to_dense(weight.add_core(weight.zero_core()), key), dense, atol=1e-12)
    decayed = scale(moved, 0.9)
    np.testing.assert_allclose(to_dense(decayed, key), 0.9 * (dense + learned), atol=1e-10)
    assert float(decayed.std) == pytest.approx(0.9 * 0.7)

    # and training goes on: new looks see the changed matrix, from both sides
    new = rng.standard_normal((3, ROWS))
    value, _, again = rmatvec(decayed, jnp.asarray(new))
    matrix = np.asarray(to_dense(again, key))
    np.testing.assert_allclose(value, new @ matrix, atol=1e-9)
    np.testing.assert_allclose(a @ matrix.T, 0.9 * a @ (dense + learned).T, atol=1e-9)
    np.testing.assert_allclose(b @ matrix, 0.9 * b @ (dense + learned), atol=1e-9)
    assert_consistent(again)


def test_same_key_same_matrix_other_key_another() -> None:
    a = jnp.asarray(np.random.default_rng(0).standard_normal((3, COLUMNS)))
    first, again, other = (matvec(create(seed), a)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).min() > 1e-6


def test_growth_loses_nothing_and_happens_by_itself_outside_jit() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((BLOCK, COLUMNS)), rng.standard_normal((BLOCK, ROWS))
    value, right, weight = create(capacity=1).matvec(jnp.asarray(a))
    assert (int(weight.lost), int(weight.rank_right)) == (0, 3)
    assert weight.capacity[1] >= 3

    grown = weight.reserve(40)
    assert bool(grown.has_room(40))
    assert grown.capacity == (64, 64)
    assert grown.nbytes == pytest.approx(weight.grown_nbytes(40), abs=100)  # scalars aside
    assert int(grown.rank_right) == 3
    np.testing.assert_array_equal(grown.resize(1, 1).right_basis, grown.right_basis)  # never shrinks
    back, left, grown = rmatvec(grown, jnp.asarray(b))
    assert_consistent(grown)
    moved = add_outer(grown, left, right, 0.5)  # coordinates from before the growth still fit
    np.testing.assert_allclose(matvec(moved, jnp.asarray(a))[0], value + 0.5 * a @ a.T @ b, atol=1e-10)
    np.testing.assert_allclose(rmatvec(moved, jnp.asarray(b))[0], back + 0.5 * b @ b.T @ a, atol=1e-10)


def test_without_room_inside_jit_directions_are_counted_and_nothing_is_overwritten() -> None:
    rng = np.random.default_rng(2)
    weight = create(capacity=8)
    blocks = [jnp.asarray(rng.standard_normal((BLOCK, COLUMNS))) for _ in range(3)]
    first, _, weight = matvec(weight, blocks[0])
    _, _, weight = matvec(weight, blocks[1])
    assert not bool(weight.has_room(BLOCK))
    _, _, full = matvec(weight, blocks[2])
    assert int(full.lost) == 3
    assert float(full.discarded) > 0.1  # the loss shows here as well
    for name in ("right_basis", "right_image", "left_basis", "left_image", "rank_right", "rank_left"):
        np.testing.assert_array_equal(getattr(full, name), getattr(weight, name))
    value, _, same = matvec(full, blocks[0])
    np.testing.assert_allclose(value, first, atol=1e-10)
    assert int(same.lost) == 3


def test_duplicates_and_zeros_take_one_direction_and_none() -> None:
    rng = np.random.default_rng(3)
    a = rng.standard_normal(COLUMNS)
    weight = create()
    _, _, zero = matvec(weight, jnp.zeros((BLOCK, COLUMNS)))
    assert int(zero.rank_right) == 0
    value, _, weight = matvec(weight, jnp.asarray([a, 2 * a, -a]))
    assert int(weight.rank_right) == 1
    np.testing.assert_allclose(value[1:], np.array([2, -1])[:, None] * value[0], atol=1e-10)
    near, _, weight = matvec(weight, jnp.asarray([a + 1e-8 * rng.standard_normal(COLUMNS), a, 0 * a]))
    assert int(weight.rank_right) == 1
    np.testing.assert_allclose(near[0], value[0], atol=1e-6)
    np.testing.assert_array_equal(near[2], 0)


def test_vectors_almost_in_the_basis_leave_it_orthonormal() -> None:
    # what is new of them is 1e-5 of their size, so that one projection alone would leave errors of 1e-11
    rng = np.random.default_rng(9)
    weight, (a, _), (b, _) = touch(create(), rng)
    _, _, weight = matvec(weight, jnp.asarray(a + 1e-5 * rng.standard_normal(a.shape)))
    _, _, weight = rmatvec(weight, jnp.asarray(b + 1e-5 * rng.standard_normal(b.shape)))
    assert (int(weight.rank_right), int(weight.rank_left)) == (6, 6)
    assert_consistent(weight, atol=1e-13)


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])
def test_the_smallest_tolerance_survives_duplicates_and_near_duplicates(dtype: jnp.dtype) -> None:
    # whitening divides by the tolerance what the Gram matrix knows to √eps only
    eps = float(jnp.finfo(dtype).eps)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        base = rng.standard_normal((3, 30))
        near = base[:2] + 10 ** rng.uniform(-9, -2) * rng.standard_normal((2, 30))
        block = np.concatenate([base, base, near, rng.standard_normal((20, 3)) @ base])
        weight = create(seed, rows=20, columns=30, tolerance=1.01 * eps**0.5, dtype=dtype)
        value, _, weight = matvec(weight, jnp.asarray(block, dtype))
        assert np.isfinite(value).all()
        assert_consistent(weight, atol=50 * eps)


def test_blocks_of_more_than_sixteen_vectors() -> None:
    rng = np.random.default_rng(4)
    weight = create(rows=50, columns=60)
    a, b = rng.standard_normal((40, 60)), rng.standard_normal((40, 50))
    value, right, weight = matvec(weight, jnp.asarray(a))
    back, left, weight = rmatvec(weight, jnp.asarray(b))
    assert (int(weight.rank_right), int(weight.rank_left), int(weight.lost)) == (40, 40, 0)
    assert_consistent(weight)
    images = np.corrcoef(touched(weight, "right")[1])  # drawn apart in each block of sixteen
    assert np.abs(images - np.eye(40)).max() < 5 / 50**0.5
    dense = complete(weight, rng)
    np.testing.assert_allclose(value, a @ dense.T, atol=1e-9)
    np.testing.assert_allclose(back, b @ dense, atol=1e-9)
    np.testing.assert_allclose(weight.left_basis.T @ weight.outer(left, right) @ weight.right_basis, b.T @ a, atol=1e-9)


@pytest.mark.parametrize("tolerance", [1e-1, 1e-3])
def test_tolerance_bounds_what_is_discarded_and_sets_the_rank(tolerance: float) -> None:
    # singular values of the block fall from 1 to 1e-5: those above the tolerance are kept
    rng = np.random.default_rng(5)
    u, v = (np.linalg.qr(rng.standard_normal((n, 12)))[0] for n in (12, 60))
    singular = np.logspace(0, -5, 12)
    a, b = (u * singular) @ v.T, rng.standard_normal((BLOCK, 50))
    largest = np.linalg.norm(a, axis=1).max()

    weight = create(rows=50, columns=60, tolerance=tolerance)
    back, _, weight = rmatvec(weight, jnp.asarray(b))
    value, coordinates, weight = matvec(weight, jnp.asarray(a))
    assert int(weight.rank_right) == np.sum(singular / largest > tolerance)
    leftover = np.linalg.norm(a - np.asarray(coordinates) @ weight.right_basis, axis=1).max() / largest
    assert 0 < leftover < tolerance
    assert float(weight.discarded) == pytest.approx(leftover**2, rel=1e-6)
    # a product misses at most what the fresh bulk would give on the leftover (its norm is √50 + √60, times std) ...
    error = np.linalg.norm(value - a @ complete(weight, rng).T, axis=1).max()
    assert 0 < error < 0.7 * 15 * leftover * largest
    # ... and nothing of what the other side knows: <b, M a> = <Mᵀ b, a> holds for the leftover too
    np.testing.assert_allclose(b @ np.asarray(value).T, np.asarray(back) @ a.T, atol=1e-10)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_dtype_is_kept_under_strict_promotion(dtype: jnp.dtype) -> None:
    def everything(key: jax.Array, a: jax.Array) -> tuple:
        weight = create(dtype=dtype, tolerance=1e-2)
        value, right, weight = weight.matvec(a)
        back, left, weight = weight.rmatvec(jnp.tanh(value))
        weight = weight.add_outer(left, right, -0.1).add_core(weight.zero_core()).scale(0.9).resize(100, 100)
        return value, right, back, left, weight, weight.to_dense(key)

    with jax.numpy_dtype_promotion("strict"):
        out = jax.eval_shape(everything, jax.random.key(0), jnp.ones((2, COLUMNS), dtype))
    inexact = [x for x in jax.tree.leaves(out) if jnp.issubdtype(x.dtype, jnp.inexact)]
    assert len(inexact) >= 12
    assert {x.dtype for x in inexact} == {jnp.dtype(dtype)}


@pytest.mark.parametrize(
    ("tolerance", "dtype", "match"),
    [
        (0.0, jnp.float64, r"`tolerance` must be positive"),
        (-1e-3, jnp.float64, r"`tolerance` must be positive.*-0.001"),
        (float("nan"), jnp.float64, r"`tolerance` must be positive and finite; got nan"),
        (1.0, jnp.float64, r"`tolerance` must lie between.*got 1.0"),
        (1e-9, jnp.float64, r"`tolerance` must lie between 1.5e-08"),
        (1e-5, jnp.float32, r"float32 resolves; use float64 for less.*got 1e-05"),
        ("small", jnp.float64, r"`tolerance` must be a number; got 'small'"),
    ],
)
def test_check_tolerance_refuses(tolerance: object, dtype: jnp.dtype, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        check_tolerance(tolerance, dtype)
    with pytest.raises(ValueError, match=match):
        create(tolerance=tolerance, dtype=dtype)


def test_check_tolerance_accepts() -> None:
    assert check_tolerance(1e-5, jnp.float64) == 1e-5
    assert check_tolerance(1e-3, jnp.float32) == 1e-3


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rows": 0}, r"`rows` must be at least 1; got 0"),
        ({"columns": 2.5}, r"`columns` must be a whole number; got 2.5"),
        ({"std": -1.0}, r"`std` must be zero or positive and finite; got -1.0"),
        ({"capacity": 0}, r"`capacity` must be at least 1; got 0"),
    ],
)
def test_create_refuses(options: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        create(**options)


def test_scan_and_vmap_agree_with_plain_calls() -> None:
    a = jnp.asarray(np.random.default_rng(7).standard_normal((3, BLOCK, COLUMNS)))

    def step(weight: ConditionedMatrix, block: jax.Array) -> tuple[ConditionedMatrix, jax.Array]:
        value, right, weight = weight.matvec(block)
        back, left, weight = weight.rmatvec(jnp.tanh(value))
        return weight.add_outer(left, right, 0.1), back

    def run(key: jax.Array) -> tuple[ConditionedMatrix, jax.Array]:
        weight = ConditionedMatrix.create(key, ROWS, COLUMNS, std=0.7, tolerance=TIGHT, capacity=64)
        return jax.lax.scan(step, weight, a)

    keys = jax.vmap(jax.random.key)(jnp.arange(2))
    weights, values = jax.jit(jax.vmap(run))(keys)
    for seed in range(2):
        weight = create(seed)
        for block, expected in zip(a, values[seed], strict=True):
            value, right, weight = matvec(weight, block)
            back, left, weight = rmatvec(weight, jnp.tanh(value))
            weight = add_outer(weight, left, right, 0.1)
            np.testing.assert_allclose(back, expected, atol=1e-9)
        assert int(weights.rank_right[seed]) == int(weight.rank_right) == 9
        np.testing.assert_allclose(weights.core[seed], weight.core, atol=1e-9)


def test_looks_of_the_same_shape_trace_once() -> None:
    rng = np.random.default_rng(8)
    weight, *_ = touch(create(), rng)
    before = matvec._cache_size(), rmatvec._cache_size(), add_outer._cache_size(), scale._cache_size()
    for _ in range(2):
        weight, (_, right), (_, left) = touch(weight, rng)
        weight = scale(add_outer(weight, left, right, 0.1), 0.9)
    after = matvec._cache_size(), rmatvec._cache_size(), add_outer._cache_size(), scale._cache_size()
    assert after[:2] == before[:2]
    assert max(now - then for now, then in zip(after, before, strict=True)) <= 1


def test_looks_outside_jit_do_not_compile_each_time(compilations) -> None:
    a = jnp.ones((BLOCK, COLUMNS))
    weight = create(capacity=1)
    for _ in range(2):
        _, _, weight = weight.matvec(a)
    before = compilations()
    for _ in range(3):
        _, _, weight = weight.matvec(a)
    assert compilations() == before
