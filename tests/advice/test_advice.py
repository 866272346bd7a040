"""The largest stable rate where it is known in closed form, and verdicts on how it changes with width."""

from __future__ import annotations

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.advice._trial import Trial, cheaper_form, measured_steps
from neural_limits.advice._verdict import slope_over_width, transfers

TASK = nl.tasks.toy()


@pytest.fixture(scope="module")
def frozen() -> nl.Advice:
    """Features are frozen, so the model is linear in what is trained and λ is constant."""
    optimizer = nl.SGD(lr=0.1, lr_input=0.0)
    return nl.advise_learning_rate(
        nl.MLP(0), TASK, nl.MuP(), widths=(16, 32), steps=60, optimizer=optimizer, seeds=(0, 1), weights="dense"
    )


def test_a_linear_model_is_stable_up_to_two_over_lambda(frozen: nl.Advice) -> None:
    for width in (16, 32):
        for seed in (0, 1):
            run = nl.train(nl.MLP(0), TASK, nl.MuP(), nl.SGD(0.1), width=width, steps=0, seed=seed, weights="dense")
            z = np.tanh(TASK.x @ np.asarray(run.parameters.input) / np.sqrt(8))
            exact = 2 / np.linalg.eigvalsh(z @ z.T / (4 * width))[-1]  # rate γ² n × (1/γn)² / P
            found = frozen.data.sel(width=width, seed=seed)
            np.testing.assert_allclose(found.stable_lr, exact, rtol=1e-5)
            np.testing.assert_allclose(found.naive_lr, exact, rtol=1e-5)
            np.testing.assert_allclose(found.divergence_lr, exact, rtol=0.06)  # the loss needs steps to grow


def test_the_result_is_labelled(frozen: nl.Advice) -> None:
    data = frozen.data
    assert frozen.status == "completed"
    assert data.matched_loss.dims == ("width", "seed", "step")
    assert (data.matched_loss[..., -1] < data.matched_loss[..., 0]).all()
    np.testing.assert_allclose(data.matched_lr, 0.5 * data.stable_lr.min())
    np.testing.assert_allclose(frozen.lr, np.exp(np.log(data.stable_lr[-1]).mean()))
    assert all({"symbol", "long_name", "units"} <= set(data[name].attrs) for name in data.data_vars)
    assert f"lr {frozen.lr:.3g} at width 32" in frozen.message


@pytest.mark.slow
def test_the_rate_found_is_at_the_limit_along_the_run() -> None:
    """Where features are learned λ grows: just below the rate the limit is kept, just above it is passed."""
    advice = nl.advise_learning_rate(
        nl.MLP(1), TASK, nl.MuP(gamma=2.0), widths=(32, 64), steps=12, seeds=(0,), weights="dense"
    )
    for width in (32, 64):
        found = advice.data.sel(width=width, seed=0)
        assert found.stable_lr < 0.99 * found.naive_lr
        trial = Trial(nl.MLP(1), TASK, nl.MuP(gamma=2.0), nl.SGD(1.0), width, 0, 12, "dense")
        at = float(found.stable_lr)
        assert trial.sharpness(0.95 * at).max() < 2 < trial.sharpness(1.05 * at).max()
        assert found.divergence_lr > found.stable_lr
    assert advice.transfers == "undecided"  # one seed has no error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parametrization", "verdict"), [(nl.MuP(), "transfers"), (nl.Standard(), "does not transfer")]
)
def test_verdicts_of_parametrizations(parametrization: nl.parametrizations.Parametrization, verdict: str) -> None:
    advice = nl.advise_learning_rate(
        nl.MLP(1), TASK, parametrization, widths=(64, 1024), steps=4, seeds=range(4), accuracy=0.1, weights="dense"
    )
    assert advice.transfers == verdict
    expected = 0 if verdict == "transfers" else -1
    assert abs(float(advice.data.slope) - expected) < max(0.1, 4 * float(advice.data.slope_stderr))


def test_the_verdict_needs_a_clear_interval() -> None:
    widths = np.array([64.0, 256.0, 1024.0])
    noise = np.random.default_rng(0).standard_normal((3, 4))

    def verdict(exponent: float, scatter: float) -> str:
        return transfers(slope_over_width(widths, widths[:, None] ** exponent * np.exp(scatter * noise)))

    assert verdict(0.0, 0.02) == "transfers"
    assert verdict(-0.3, 0.02) == verdict(0.3, 0.02) == "does not transfer"
    assert verdict(0.0, 1.0) == verdict(0.1, 0.1) == "undecided"


def test_rates_of_the_ends_stay_in_proportion() -> None:
    trial = Trial(nl.MLP(0), TASK, nl.MuP(), nl.SGD(0.1, lr_input=0.0, lr_output=0.3, momentum=0.5), 8, 0, 1, "dense")
    assert trial.at(0.2) == nl.SGD(0.2, lr_input=0.0, lr_output=0.6, momentum=0.5)
    assert measured_steps(1000)[0] == 0
    assert cheaper_form(nl.MLP(1), 1024, 4) == "conditioned"
    assert cheaper_form(nl.MLP(1), 128, 4) == cheaper_form(nl.ResNet(1), 1024, 4) == "dense"


def test_no_stable_rate_within_the_range_is_a_status() -> None:
    advice = nl.advise_learning_rate(
        nl.MLP(1), TASK, nl.MuP(gamma=2.0), widths=(32, 64), steps=8, seeds=(0,), weights="dense", lr_range=(3.9, 4.0)
    )
    assert advice.status == "no_stable_rate"
    assert np.isnan(advice.data.stable_lr).all()
    assert advice.transfers == "undecided"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (64,)}, "`widths` must be two or more increasing widths"),
        ({"widths": (64, 32)}, "`widths` must be two or more increasing widths"),
        ({"optimizer": nl.Adam(0.1)}, "`optimizer` must be SGD: the step of Adam is no multiple of the gradient"),
        ({"lr_range": (1.0, 0.1)}, "`lr_range` must be two increasing rates"),
        ({"lr_range": (-1.0, 0.1)}, "`lr_range` must be positive"),
        ({"seeds": ()}, "`seeds` must hold at least one seed"),
        ({"weights": "sparse"}, "`weights` must be one of"),
        ({"steps": 0}, "`steps` must be at least 1"),
    ],
)
def test_bad_input_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nl.advise_learning_rate(nl.MLP(0), TASK, **{"widths": (8, 16), "steps": 1} | options)
