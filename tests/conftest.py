"""For every test: float64, array shapes enforced, one thread per worker, and Monte-Carlo helpers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Self, get_args

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores, so threads inside each only get in the way
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    _xla = "--xla_cpu_multi_thread_eigen=false"
else:
    _xla = ""
# A third of the time in compilation, which is where most of the time of these tests goes; results differ by rounding.
os.environ["XLA_FLAGS"] = (
    f"--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false {_xla} {os.environ.get('XLA_FLAGS', '')}"
)

import jax
import numpy as np
import pytest
from beartype import BeartypeConf, FrozenDict, beartype
from jaxtyping import AbstractArray, install_import_hook
from scipy import stats
from threadpoolctl import threadpool_limits

if "PYTEST_XDIST_WORKER" in os.environ:
    threadpool_limits(1)  # the variables come too late where a plugin of pytest has imported NumPy
jax.config.update("jax_enable_x64", True)

_beartype = beartype(conf=BeartypeConf(hint_overrides=FrozenDict({Self: object})))


def check_shapes(function: Any) -> Any:
    """Enforce the array annotations ("m p" and the like) of a function, and only those.

    All others are left alone: tests hand wrong types to public functions on purpose, to read their errors.
    """
    kept = {k: v for k, v in function.__annotations__.items() if _mentions_array(v)}
    function.__annotations__ = kept
    return _beartype(function) if kept else function


def _mentions_array(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return True
    return any(_mentions_array(part) for part in get_args(annotation))


# Under a name of its own: another folder's conftest.py may take the name "conftest" later.
sys.modules["neural_limits_shape_checks"] = sys.modules[__name__]
if "neural_limits" not in sys.modules:
    install_import_hook("neural_limits", "neural_limits_shape_checks.check_shapes")


@pytest.fixture(scope="session")
def assert_within() -> Callable[..., None]:
    """``assert_within(mean, exact, stderr, k=4)``: every mean lies within k standard errors of the exact value."""

    def check(mean: Any, exact: Any, stderr: Any, k: float = 4.0) -> None:
        mean, exact, stderr = np.broadcast_arrays(mean, exact, stderr)
        assert np.isfinite(mean).all(), f"not finite: {mean}"
        assert np.isfinite(stderr).all(), f"not finite: {stderr}"
        sigmas = np.abs(mean - exact) / stderr
        worst = np.argmax(sigmas)
        assert sigmas.max() < k, (
            f"entry {worst}: {mean.flat[worst]:.6g} against {exact.flat[worst]:.6g} is {sigmas.max():.1f} "
            f"standard errors ({stderr.flat[worst]:.2g}) away; allowed {k}"
        )

    return check


def mean_and_stderr(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the first axis and its standard error."""
    return samples.mean(axis=0), samples.std(axis=0, ddof=1) / np.sqrt(len(samples))


def law_distance(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """By how many standard errors two samples (draws, statistics) differ: means and second moments.

    One number per statistic and moment, shape (2, statistics).
    """
    distances = []
    for power in (1, 2):
        m1, s1 = mean_and_stderr(ours**power)
        m2, s2 = mean_and_stderr(theirs**power)
        distances.append(np.abs(m1 - m2) / np.hypot(s1, s2))
    return np.stack(distances)


@pytest.fixture(scope="session")
def sigmas_between() -> Callable[[Any, Any], np.ndarray]:
    """``sigmas_between(ours, theirs)``: see `law_distance`."""
    return lambda ours, theirs: law_distance(np.asarray(ours), np.asarray(theirs))


@pytest.fixture(scope="session")
def assert_same_law() -> Callable[..., None]:
    """``assert_same_law(ours, theirs, k=4)``: equal means and second moments within k standard errors, and equal
    distributions (Kolmogorov-Smirnov), for each statistic of two samples (draws, statistics)."""

    def check(ours: Any, theirs: Any, k: float = 4.0) -> None:
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        sigmas = law_distance(ours, theirs)
        assert (sigmas < k).all(), f"standard errors apart (mean, second moment): {np.round(sigmas, 1).tolist()}"
        p_values = [stats.ks_2samp(a, b).pvalue for a, b in zip(ours.T, theirs.T, strict=True)]
        assert min(p_values) > 1e-4, f"Kolmogorov-Smirnov p-values {np.round(p_values, 5).tolist()}"

    return check


@pytest.fixture
def compilations() -> Callable[[], int]:
    """``compilations()``: how many functions JAX has compiled since the test began."""
    count = [0]

    def listen(event: str, duration: float, **_: Any) -> None:
        count[0] += event == "/jax/core/compile/backend_compile_duration"

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield lambda: count[0]
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture
def train_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps train in this process, one trial after another."""
    from neural_limits.sweeps import _session, _sweep
    from neural_limits.sweeps._engine import Engine, News
    from neural_limits.sweeps._worker import Worker

    class Here(Engine):
        def __init__(self, path: Any, options: Any) -> None:
            self.worker, self.done = Worker(path, options.checkpoint_every), []

        def idle(self) -> list[str]:
            return [] if self.done else ["here"]

        def busy(self) -> dict[str, str]:
            return {news.slot: news.trial for news in self.done}

        def submit(self, slot: str, trial: str, shape: str) -> None:
            self.done = [News(slot, trial, self.worker.run(trial, shape))]

        def news(self, timeout: float) -> list[News]:
            done, self.done = self.done, []
            return done

        def stop(self, grace: float) -> None: ...

    for module in (_sweep, _session):
        monkeypatch.setattr(module, "engine_for", Here)
