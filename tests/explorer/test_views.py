"""Views: what they refuse, and that their numbers are those of the code they show."""

from typing import Any

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.explorer import VIEWS
from neural_limits.explorer._view import BYTES, SECONDS, Report, View


def quiet(done: int, total: int, note: str) -> None:
    """No report."""


REPORT: Report = quiet
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "conditioned": ("network", {"width": 96, "depth": 1, "steps": 3, "samples": 2}),
    "dense residual": (
        "network",
        {"network": "resnet", "parametrization": "depth-mup", "weights": "dense", "width": 24, "depth": 2, "steps": 2},
    ),
    "digits": ("network", {"task": "digits", "weights": "dense", "width": 24, "depth": 1, "steps": 2, "gamma": 1.0}),
    "deep linear": ("deep-linear", {"steps": 12, "width_ratio": 4.0}),
    "infinite depth": ("infinite-depth", {"steps": 1, "samples": 2}),
}


@pytest.fixture(scope="module", params=SMALL)
def pair(request: pytest.FixtureRequest) -> tuple[View, Any, dict[str, Any]]:
    """A small view, its numbers, and the variables its code leaves behind."""
    name, values = SMALL[request.param]
    view = VIEWS[name].parse(values)
    left: dict[str, Any] = {}
    exec(view.code(), left)
    return view, view.compute(REPORT), left


def test_the_code_gives_the_numbers_of_the_view(
    pair: tuple[View, Any, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    view, data, left = pair
    if "run" in left:
        np.testing.assert_array_equal(left["run"].data.loss, data.loss)
        np.testing.assert_array_equal(left["run"].data.singular_value, data.singular_value)
        np.testing.assert_allclose(left["curvature"].dataset().eigenvalue.values[:, 0, 0], data.eigenvalue)
        kernels = list(left["kernels"].values())
        np.testing.assert_allclose([kernels[0], kernels[-1]], data.kernel)
        trained = left["run"]
        assert trained.data.attrs["width"] == view.settings()["width"]
    elif "sol" in left:
        np.testing.assert_array_equal(left["sol"].data.train_loss, data.loss)
        np.testing.assert_array_equal(left["sol"].data.test_loss, data.test_loss)
        for record, step in enumerate(data.record.values):
            assert data.eigenvalue[record] == left["sol"].ntk_leading(int(step))
            for layer, found in enumerate(left["sol"].outliers(int(step))):
                values = data.singular_value[record, layer].values
                np.testing.assert_array_equal(values[np.isfinite(values)], [*found.above, *found.below])
                assert (data.record_edge_low[record, layer], data.record_edge[record, layer]) == found.edges
    else:
        np.testing.assert_array_equal(left["solution"].data.loss, data.loss)
        np.testing.assert_allclose(np.linalg.eigvalsh(left["first"])[-1] / left["task"].samples, data.eigenvalue[0])
        last = left["solution"].data.feature_kernel.isel(time=-1, step=-1, step_b=-1)
        np.testing.assert_array_equal(last, data.kernel[1])
    assert data.attrs["status"] == "completed"
    assert np.isfinite(data.loss).all()
    assert data.kernel.shape[0] == 2


def test_the_code_of_sampled_infinite_depth_compiles() -> None:
    code = VIEWS["infinite-depth"].parse({"activation": "tanh"}).code()
    compile(code, "view", "exec")
    assert "particles=1024" in code
    assert 'activation="tanh"' in code


@pytest.mark.slow
def test_sampled_infinite_depth_has_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neural_limits.explorer._infinite_depth.DEPTHS", (2, 4, 8))
    monkeypatch.setattr("neural_limits.explorer._infinite_depth.SEEDS", 2)
    given = {"activation": "tanh", "particles": 64, "steps": 1, "samples": 2}
    data = VIEWS["infinite-depth"].parse(given).compute(REPORT)
    assert (data.loss_stderr[1] > 0) & (data.loss_truncation[1] > 0)


@pytest.mark.slow
def test_the_leading_mode_at_infinite_depth_is_that_of_a_deep_wide_network() -> None:
    """The theory's kernel and the curvature of `nl.curvature` share neither code nor normalisation."""
    found = VIEWS["infinite-depth"].parse({"steps": 1, "activation": "tanh"}).compute(REPORT).eigenvalue[0]
    task, network = nl.tasks.toy(samples=4, labels="sine"), nl.ResNet(depth=24, activation="tanh")
    measured = []
    for seed in range(3):
        run = nl.train(network, task, nl.DepthMuP(), nl.SGD(0.2), width=192, steps=0, weights="dense", seed=seed)
        measured.append(float(nl.curvature(run, task, count=1, kinds=("ntk",)).eigenvalue[0, 0]))
    assert np.mean(measured) == pytest.approx(float(found), rel=0.15)  # 1/L, and 1/√n of three networks


@pytest.mark.parametrize(
    ("name", "values"), [("deep-linear", {"lr": 5.0, "steps": 12}), ("network", {"lr": 1e3, "width": 16, "steps": 9})]
)
def test_divergence_is_a_result(name: str, values: dict[str, Any]) -> None:
    extra = {"weights": "dense", "activation": "linear", "depth": 1} if name == "network" else {}
    data = VIEWS[name].parse(values | extra).compute(REPORT)
    assert data.attrs["status"] == "diverged"
    assert "lower `lr`" in data.attrs["message"]
    assert np.isfinite(data.loss[0])
    assert not np.isfinite(data.loss[-1])


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("network", {"width": "wide"}, "`width` must be a whole number from 16 to 1,000,000; got 'wide'."),
        ("network", {"width": "64.5"}, "`width` must be a whole number"),
        ("network", {"width": None}, "`width` must be a whole number"),
        ("network", {"width": True}, "`width` must be a whole number"),
        ("network", {"width": ["64"]}, "`width` must be a whole number"),
        ("network", {"lr": "nan"}, "`lr` must be a number from 1e-06 to 10,000; got 'nan'."),
        ("network", {"lr": "-1"}, "`lr` must be a number"),
        ("network", {"lr": "9" * 5000}, "`lr` must be a number"),
        ("network", {"activation": "__import__('os')"}, "`activation` must be one of 'tanh'"),
        ("network", {"activation": {"a": 1}}, "`activation` must be one of"),
        ("network", {"depth": "20"}, "`depth` of a fully connected network must be at most 12"),
        ("network", {"parametrization": "depth-mup"}, "choose the residual network"),
        ("network", {"__class__": "1"}, "`__class__` is no setting of this view."),
        ("network", {"width": "1e6", "samples": "64"}, "GiB, more than 2; lower `width`"),
        ("network", {"weights": "dense", "width": "9000", "steps": "500"}, "s, more than 60; lower `width`"),
        ("deep-linear", {"depth": "8", "steps": "150"}, "s, more than 60; lower `steps` or `depth`."),
        ("infinite-depth", {"samples": "8", "steps": "8"}, "s, more than 60; lower `particles`"),
    ],
)
def test_refused_in_one_line(name: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011  # the message is looked at below
        VIEWS[name].parse(values)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("name", VIEWS)
def test_defaults_are_cheap_and_text_is_read(name: str) -> None:
    view = VIEWS[name]()
    assert view.cost().seconds < SECONDS / 4
    assert view.cost().bytes < BYTES / 4
    assert VIEWS[name].parse({key: str(value) for key, value in view.settings().items()}) == view
