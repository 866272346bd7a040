"""`nl.audit` against planted spikes, NumPy's SVD and closed forms."""

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.sparse.linalg import ArpackNoConvergence

import neural_limits as nl

SPIKES = (3.0, 4.0, 5.0)


def planted(rows, columns, strengths=(), seed=0):
    """Noise of std 1/√columns and orthogonal spikes of these strengths."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((rows, columns)) / columns**0.5
    left = np.linalg.qr(rng.standard_normal((rows, len(strengths))))[0]
    right = np.linalg.qr(rng.standard_normal((columns, len(strengths))))[0]
    return noise + (left * np.array(strengths)) @ right.T


def saved(folder, **tensors):
    save_file({name.replace("_", "."): value for name, value in tensors.items()}, folder / "m.safetensors")
    return folder / "m.safetensors"


def expected(strength: float, ratio: float) -> float:
    """Where a spike in noise of std 1/√columns comes out, ratio = rows/columns (Benaych-Georges, Nadakuditi)."""
    return float(np.sqrt((1 + strength**2) * (ratio + strength**2)) / strength)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("known", [True, False])
def test_planted_spikes_are_found(tmp_path, dtype, known):
    path = saved(
        tmp_path, spiked=planted(200, 300, SPIKES).astype(dtype), noise=planted(150, 100, seed=1).astype(dtype)
    )
    found = nl.audit(path, init_std="fan-in" if known else None).data
    noise, spiked = found.sel(matrix="noise"), found.sel(matrix="spiked")
    assert (int(noise.separated), int(spiked.separated)) == (0, 3)
    assert str(noise.bulk.values) == str(spiked.bulk.values) == ("unchanged" if known else "undeformed")
    places = [expected(s, 200 / 300) for s in reversed(SPIKES)]
    np.testing.assert_allclose(spiked.singular_value[:3], places, rtol=0.05)
    assert float(spiked.bulk_edge) == pytest.approx(1 + (200 / 300) ** 0.5, rel=0.01)
    assert np.isnan(spiked.outliers) if not known else int(spiked.outliers) == 3


def test_numbers_are_those_of_numpy(tmp_path):
    weight = planted(90, 60, (4.0,)).astype(np.float32)
    one = nl.audit(saved(tmp_path, w=weight)).data.isel(matrix=0)
    values = np.linalg.svd(weight.astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(one.singular_value, values, rtol=1e-10)
    assert float(one["std"]) == pytest.approx(weight.astype(np.float64).std(), rel=1e-12)
    assert float(one.stable_rank) == pytest.approx(np.sum(values**2) / values[0] ** 2)
    assert float(one.outlier_energy) == pytest.approx(values[0] ** 2 / np.sum(values**2))


def test_large_matrices_give_the_largest_values_alone(tmp_path):
    weight = planted(400, 350, SPIKES).astype(np.float32)
    path = saved(tmp_path, w=weight)
    one = nl.audit(path, init_std="fan-in", max_size=300, top=8).data.isel(matrix=0)
    values = np.linalg.svd(weight, compute_uv=False)
    assert int(one.known) == 8
    np.testing.assert_allclose(one.singular_value, values[:8], rtol=1e-4)
    assert (int(one.outliers), str(one.bulk.values), str(one.status.values)) == (3, "", "completed")
    assert float(one.stable_rank) == pytest.approx(np.sum(values**2) / values[0] ** 2, rel=1e-4)
    assert float(one.outlier_energy) == pytest.approx(np.sum(values[:3] ** 2) / np.sum(values**2), rel=1e-4)
    assert nl.audit(path, max_size=300).data.status.item() == "too_few"  # no start, no bulk


def test_slabs_add_up(tmp_path, monkeypatch):
    weight = planted(50, 400, (4.0,)).astype(np.float32)
    path = saved(tmp_path, w=weight, v=weight.T.copy())
    whole = nl.audit(path).data
    monkeypatch.setattr("neural_limits.checkpoints._matrix.SLAB", 50 * 7)
    parts = nl.audit(tmp_path).data
    assert float(nl.audit(path, path).data.init_std[0]) == pytest.approx(float(whole["std"][0]), rel=1e-12)
    np.testing.assert_allclose(parts.singular_value, whole.singular_value, rtol=1e-10)
    np.testing.assert_allclose(whole.singular_value[0], whole.singular_value[1], rtol=1e-10)


def test_the_start_gives_scales_and_the_change(tmp_path):
    start = {"a": planted(120, 80), "b": 3 * planted(60, 60, seed=2), "e": planted(40, 40, seed=3)}
    change = planted(120, 80, (2.0, 1.0), seed=5) - planted(120, 80, (0.0, 0.0), seed=5)  # rank two, exactly
    final = {"a": start["a"] + change, "b": 1.2 * start["b"], "e": start["e"], "new": planted(40, 40)}
    save_file(start, tmp_path / "init.safetensors")
    save_file(final, tmp_path / "final.safetensors")
    found = nl.audit(tmp_path / "final.safetensors", tmp_path / "init.safetensors")
    a, b, e, new = (found.data.sel(matrix=name) for name in ("a", "b", "e", "new"))
    np.testing.assert_allclose(a.change_singular_value[:2], [2, 1], rtol=1e-6)
    assert float(a.change_stable_rank) == pytest.approx(5 / 4, rel=1e-6)
    assert float(a.init_std) == pytest.approx(start["a"].std())
    assert str(b.bulk.values) == "rescaled"
    assert float(b.bulk_shift) == pytest.approx(0.2, abs=0.05)
    assert float(e.change_top) == 0
    assert np.isnan(new.init_std)
    assert np.isnan(new.change_top)
    assert "1 not in the start" in found.message
    assert "change_top" in found.table


def test_shapes_of_more_dimensions(tmp_path):
    stack = np.stack([planted(60, 50, (4.0,) * k, seed=k) for k in range(3)])
    tensors = {"conv": planted(60, 72, (4.0,)).reshape(60, 8, 3, 3), "experts": stack, "bias": np.ones(5)}
    save_file(tensors, tmp_path / "m.safetensors")
    joined = nl.audit(tmp_path).data
    assert joined.matrix.values.tolist() == ["conv", "experts"]
    assert joined["rows"].values.tolist() == [60, 3]
    assert joined["columns"].values.tolist() == [72, 3000]
    assert int(joined.separated[0]) == 1
    split = nl.audit(tmp_path, split=True, init_std="fan-in").data
    assert split.matrix.values.tolist() == ["conv", "experts[0]", "experts[1]", "experts[2]"]
    assert split["shape"].values.tolist() == ["60 x 8 x 3 x 3"] + 3 * ["60 x 50"]
    assert split.separated.values.tolist() == [1, 0, 1, 2]


def test_matrices_that_say_nothing_do_not_stop_the_others(tmp_path):
    broken = planted(50, 40)
    broken[3, 4] = np.inf
    tensors = {"bad": broken, "good": planted(50, 40, (4.0,)), "small": np.eye(4), "zero": np.zeros((40, 40))}
    tensors["ids"] = np.ones((40, 40), np.int64)
    found = nl.audit(saved(tmp_path, **tensors))
    assert dict(zip(found.data.matrix.values, found.data.status.values, strict=True)) == {
        "bad": "non_finite", "good": "completed", "small": "too_few", "zero": "zero",
    }  # fmt: skip
    assert found.table.loc["good", "separated"] == 1
    assert found.table.loc["small", "top"] == 1
    assert found.data.attrs["left_out"] == "ids"
    assert found.message == "4 matrices: 1 value above the bulk in 1 of them, 1 non_finite, 1 zero, 1 too_few"


def test_lanczos_that_does_not_converge_is_a_status(tmp_path, monkeypatch):
    def fails(matrix, count):
        raise ArpackNoConvergence("no", np.zeros(0), np.zeros((0, 0)))

    monkeypatch.setattr("neural_limits.checkpoints._matrix.top_singular_values", fails)
    path = saved(tmp_path, large=planted(50, 50), small=planted(40, 50))
    found = nl.audit(path, max_size=45).data
    assert found.status.values.tolist() == ["no_convergence", "completed"]


def test_a_broken_start_leaves_the_scale_to_the_bulk(tmp_path):
    weight = planted(50, 40)
    broken = weight.copy()
    broken[0, 0] = np.nan
    save_file({"a": weight, "b": weight}, tmp_path / "m.safetensors")
    save_file({"a": broken, "b": np.zeros((50, 40))}, tmp_path / "init.safetensors")
    found = nl.audit(tmp_path / "m.safetensors", tmp_path / "init.safetensors").data
    assert found.bulk.values.tolist() == ["undeformed", "undeformed"]
    assert np.isnan(found.change_top[0])
    assert float(found.change_top[1]) == pytest.approx(float(found.top[1]))


def test_what_is_refused(tmp_path):
    path = saved(tmp_path, w=planted(40, 40))
    with pytest.raises(ValueError, match="`init_std` must not be given beside `init`"):
        nl.audit(path, path, init_std=1.0)
    for given, message in (
        ({"init_std": -1.0}, "init_std"),
        ({"init_std": "fan-out"}, "init_std"),
        ({"top": 0}, "top"),
    ):
        with pytest.raises(ValueError, match=f"`{message}` must be"):
            nl.audit(path, **given)
    with pytest.raises(ValueError, match="false_alarm"):
        nl.audit(path, false_alarm=2.0)
    save_file({"w": np.ones((3, 3))}, tmp_path / "other.safetensors")
    with pytest.raises(OSError, match=r"w is 3 x 3 in .*other.safetensors and 40 x 40 here"):
        nl.audit(path, tmp_path / "other.safetensors")
    save_file({"v": np.ones((3, 3))}, tmp_path / "other.safetensors")
    with pytest.raises(OSError, match="holds none of the matrices, such as w"):
        nl.audit(path, tmp_path / "other.safetensors")
    save_file({"bias": np.ones(3), "ids": np.ones((3, 3), np.int32)}, tmp_path / "other.safetensors")
    with pytest.raises(OSError, match=r"holds no matrix of floating-point numbers; 1 hold other types, such as i32"):
        nl.audit(tmp_path / "other.safetensors")
