"""Optuna as a sampler: it proposes configurations, the folder keeps the trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._configuration import Configuration, name_of

if TYPE_CHECKING:
    from ._request import Request

BEHIND = 4  # trials proposed before their predecessors' results are in
WORST = 1e30  # what a diverged trial counts as, which Optuna cannot hold


def proposals(request: Request, losses: Mapping[str, float]) -> list[Configuration]:
    """The trials so far and the next ones, replayed from the start: the same results propose the same trials.

    The first `BEHIND` are drawn without results; each further one once all but `BEHIND` - 1 of those before it have
    ended, from the results of these alone. ImportError saying what to install.
    """
    try:
        import optuna
    except ImportError:
        raise ImportError("`sampler` optuna needs Optuna; pip install optuna, or leave the sampler out.") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=request.random.get("seed", 0)))
    space = {name: _distribution(optuna, spec) for name, spec in request.sampled.items()}
    asked: list[tuple[Any, Configuration]] = []
    for i in range(request.random["count"]):
        if i >= BEHIND:
            trial, configuration = asked[i - BEHIND]
            loss = losses.get(name_of(configuration.canonical()))
            if loss is None:
                break
            study.tell(trial, loss if math.isfinite(loss) else WORST)
        trial = study.ask(space)
        asked.append((trial, request.configuration(trial.params)))
    return [*{name_of(c.canonical()): c for _, c in asked}.values()]


def _distribution(optuna: Any, spec: Mapping[str, Any]) -> Any:
    kinds = optuna.distributions
    if spec["distribution"] == "choice":
        return kinds.CategoricalDistribution(spec["values"])
    if spec["distribution"] == "integers":
        return kinds.IntDistribution(spec["low"], spec["high"])
    return kinds.FloatDistribution(spec["low"], spec["high"], log=spec["distribution"] == "log-uniform")
