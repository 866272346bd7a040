"""The tables against hand-written values, and what they are for: how far features move at each width."""

from __future__ import annotations

import numpy as np
import pytest

from neural_limits.parametrizations import NTK, DepthMuP, LayerRule, MuP, Parametrization, Standard

# width 100, inputs 4, gamma 2, sigma_w 1.5: (multiplier, std, rate, rate_adam, rate_muon) of input, hidden, output
TABLES = {
    MuP: [(0.5, 1.0, 400.0, 1.0, 1.0), (1.0, 0.15, 4.0, 0.01, 1.0), (0.005, 1.0, 400.0, 1.0, 1.0)],
    NTK: [(0.5, 1.0, 4.0, 1.0, 1.0), (0.1, 1.5, 4.0, 1.0, 1.0), (0.05, 1.0, 4.0, 1.0, 1.0)],
    Standard: [(1.0, 0.5, 4.0, 1.0, 1.0), (1.0, 0.15, 4.0, 1.0, 1.0), (0.5, 0.1, 4.0, 1.0, 1.0)],
}


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.__name__)
def test_values(table: type[Parametrization]) -> None:
    rules = table(gamma=2.0, sigma_w=1.5).rules(width=100, inputs=4)
    for rule, expected in zip(rules[:3], TABLES[table], strict=True):
        assert tuple(rule) == pytest.approx(expected)


def test_depth_mup_scales_branches_and_hidden_rates_with_depth() -> None:
    plain = MuP(gamma=2.0).rules(100, 4, depth=16)
    assert (plain.branch, plain.inner_rate) == (1.0, 1.0)
    for b, alpha in ((0.5, 0.0), (0.5, 0.5), (1.0, 0.0)):
        rules = DepthMuP(gamma=2.0, branch_exponent=b, inner_exponent=alpha).rules(100, 4, depth=16)
        assert (rules.input, rules.output) == (plain.input, plain.output)
        assert rules.branch == pytest.approx(16**-b)
        assert rules.inner_rate == pytest.approx(16**alpha)
        # the learned drift of a layer, branch² times the rate, is 1/L under both
        assert rules.branch**2 * rules.hidden.rate == pytest.approx(plain.hidden.rate / 16)
        # Adam moves entries by its rate: L layers of branch · rate add up to order one
        assert 16 * rules.branch * rules.hidden.rate_adam == pytest.approx(plain.hidden.rate_adam)


def test_operators_are_the_product_of_multiplier_and_weight() -> None:
    rule = LayerRule(multiplier=0.1, std=2.0, rate=5.0)
    assert rule.operator_std == pytest.approx(0.2)
    assert rule.operator_rate == pytest.approx(0.05)  # m · (rate · m · gradient of the operator)


@pytest.mark.parametrize("width", [10, 1000])
def test_ntk_is_mup_with_gamma_over_root_width(width: int) -> None:
    ntk = NTK(gamma=2.0 * width**0.5, sigma_w=1.2).rules(width, 7)
    mup = MuP(gamma=2.0, sigma_w=1.2).rules(width, 7)
    lazy = NTK(gamma=2.0).rules(width, 7)
    # the same operators, hence the same function at every step
    for name in ("input", "hidden", "output"):
        assert getattr(ntk, name).operator_std == pytest.approx(getattr(mup, name).operator_std)
        rate = getattr(ntk, name).operator_rate
        assert rate == pytest.approx(getattr(mup, name).operator_rate)
    assert lazy.output.operator_rate == pytest.approx(4.0 / (4.0 * width))


def features_move(parametrization: Parametrization, width: int, optimizer: str, seed: int) -> tuple[float, ...]:
    """One step of a two-hidden-matrix tanh network written out here: root mean square moves of h_1, h_3 and f."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((4, 8)), np.sign(rng.standard_normal((4, 1)))
    shapes = [(8, width), (width, width), (width, width), (width, 1)]
    table = parametrization.rules(width, 8)
    rules = [table.input, table.hidden, table.hidden, table.output]
    weights = [rule.std * rng.standard_normal(shape) for rule, shape in zip(rules, shapes, strict=True)]

    def forward() -> tuple[list[np.ndarray], list[np.ndarray]]:
        inputs, pre = [x], []
        for rule, weight in zip(rules, weights, strict=True):
            pre.append(rule.multiplier * inputs[-1] @ weight)
            inputs.append(np.tanh(pre[-1]))
        return inputs, pre

    inputs, before = forward()
    delta = (before[-1] - y) / len(x)
    gradients = []
    for l in reversed(range(4)):
        gradients.insert(0, rules[l].multiplier * inputs[l].T @ delta)
        if l:
            delta = rules[l].multiplier * delta @ weights[l].T * (1 - inputs[l] ** 2)
    for l, rule in enumerate(rules):
        step = rule.rate * gradients[l] if optimizer == "sgd" else rule.rate_adam * np.sign(gradients[l])
        weights[l] = weights[l] - (0.1 if optimizer == "sgd" else 0.01) * step
    after = forward()[1]
    return tuple(np.sqrt(np.mean((after[l] - before[l]) ** 2)) for l in (0, 2, 3))


def slopes(parametrization: Parametrization, optimizer: str = "sgd") -> np.ndarray:
    """d log(move) / d log(width) of h_1, h_3 and f, widths 64..1024."""
    widths = np.array([64, 128, 256, 512, 1024])
    seeds = [16, 8, 4, 4, 2]
    moves = [
        np.mean([features_move(parametrization, int(n), optimizer, seed) for seed in range(count)], axis=0)
        for n, count in zip(widths, seeds, strict=True)
    ]
    return np.polyfit(np.log(widths), np.log(moves), 1)[0]


def test_mup_moves_features_by_order_one_at_every_width() -> None:
    np.testing.assert_allclose(slopes(MuP(gamma=2.0)), [0, 0, 0], atol=0.12)


def test_ntk_is_lazy() -> None:
    np.testing.assert_allclose(slopes(NTK()), [-0.5, -0.5, 0], atol=0.12)


def test_standard_rates_are_too_large_for_wide_layers() -> None:
    # h_1 has a fixed fan-in and an output weight of order n^-1/2 behind it; h_3 sums n moves of order n^-1/2
    first, last, _ = slopes(Standard())
    assert first == pytest.approx(-0.5, abs=0.15)
    assert 0.2 < last < 0.6


def test_mup_rates_for_adam_move_features_by_order_one() -> None:
    np.testing.assert_allclose(slopes(MuP(), "adam")[:2], [0, 0], atol=0.12)
    assert slopes(Standard(), "adam")[1] > 0.3


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.__name__)
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"gamma": 0.0}, r"`gamma` must be positive and finite; got 0.0"),
        ({"gamma": -1.0}, r"`gamma` must be positive and finite; got -1.0"),
        ({"sigma_w": float("nan")}, r"`sigma_w` must be positive and finite; got nan"),
        ({"sigma_w": "one"}, r"`sigma_w` must be a number; got 'one'"),
    ],
)
def test_refuses_scales_that_are_not_positive(table: type[Parametrization], options: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        table(**options)


@pytest.mark.parametrize(
    ("width", "inputs", "match"),
    [
        (0, 3, r"`width` must be at least 1; got 0"),
        (2.5, 3, r"`width` must be a whole number; got 2.5"),
        (8, -1, r"`inputs` must be at least 1; got -1"),
    ],
)
def test_refuses_sizes_that_are_not_whole(width: object, inputs: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        MuP().rules(width, inputs)
