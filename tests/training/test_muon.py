"""Muon's directions, and Muon in the limit against dense networks in law."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neural_limits as nl
from neural_limits.training._muon import newton_schulz, polar


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (2, 6, 4)])
def test_directions_of_random_matrices(shape: tuple[int, ...]) -> None:
    matrix = jax.random.normal(jax.random.key(0), shape)
    left, values, right = np.linalg.svd(np.asarray(matrix), full_matrices=False)
    np.testing.assert_allclose(polar(matrix, 1e-9), left @ right, atol=1e-12)
    third = values[..., 2:3].max() / values.max() * 1.0001  # only the first two stay
    if len(shape) == 2:
        np.testing.assert_allclose(polar(matrix, third), left[:, :2] @ right[:2], atol=1e-12)
    found = np.linalg.svd(np.asarray(newton_schulz(matrix)), compute_uv=False)
    assert ((found > 0.6) & (found < 1.25)).all()


def test_a_zero_matrix_has_no_direction() -> None:
    assert not newton_schulz(jnp.zeros((3, 4))).any()
    assert not polar(jnp.zeros((3, 4)), 1e-4).any()


def test_the_iteration_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    matrix = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    weight = torch.nn.Parameter(torch.zeros(6, 4))
    weight.grad = torch.tensor(matrix)
    torch.optim.Muon([weight], lr=1.0, momentum=0.0, weight_decay=0.0).step()
    ours = newton_schulz(jnp.asarray(matrix)) * (6 / 4) ** 0.5  # torch's factor of the shape
    np.testing.assert_allclose(-weight.detach().numpy(), ours, atol=0.03)  # torch iterates in bfloat16


@pytest.mark.slow
@pytest.mark.parametrize(("width", "exact"), [(256, False), (512, False), (256, True)])
def test_conditioned_equals_dense_in_law(width: int, exact: bool) -> None:
    optimizer = nl.Muon(lr=0.1, momentum=0.9, newton_schulz=not exact, cutoff=1e-2)
    setting = (nl.MLP(hidden=2), nl.tasks.toy(), nl.MuP(gamma=4.0), optimizer)
    seeds = 24
    found = {}
    for weights in ("dense", "conditioned"):
        data, _ = nl.train_ensemble(
            *setting, width=width, steps=10, seeds=range(seeds), weights=weights, tolerance=1e-3, dtype="float32"
        )
        found[weights] = data.loss.values[:, [1, 4, 7, 10]]
    means = [values.mean(0) for values in found.values()]
    error = np.sqrt(sum(values.var(0, ddof=1) / seeds for values in found.values()))
    assert (np.abs(means[0] - means[1]) < 3 * error).all()
    assert means[0][-1] < 0.2 * means[0][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": 0.0}, "`lr` must be"),
        ({"lr": 0.1, "momentum": 1.0}, "`momentum` must be below 1"),
        ({"lr": 0.1, "cutoff": 1.5}, "`cutoff` must be below 1"),
        ({"lr": 0.1, "lr_input": -1.0}, "`lr_input` must be"),
    ],
)
def test_bad_numbers(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nl.Muon(**arguments)


def test_width_does_not_change_a_step() -> None:
    """The spectral norm of the first step is lr times at most 1.25, at any width and in deep networks by L^(b - 1)."""
    for width in (64, 4096):
        run = nl.train(nl.MLP(hidden=1), nl.tasks.toy(), nl.MuP(), nl.Muon(lr=0.1), width=width, steps=1)
        assert 0.06 < np.linalg.norm(np.asarray(run.weights[0].core), 2) < 0.125
    deep = nl.train(nl.ResNet(depth=16), nl.tasks.toy(), nl.DepthMuP(), nl.Muon(lr=0.1), width=64, steps=1)
    norms = np.linalg.norm(np.asarray(deep.parameters.hidden[0].layers.core), 2, axis=(1, 2))
    assert ((norms > 0.06 / 4) & (norms < 0.125 / 4)).all()
