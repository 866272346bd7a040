"""What a sweep is asked for: a base and a grid, samples, or an allocation that follows results; and its trials."""

from __future__ import annotations

import itertools
import math
import tomllib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from .._checks import one_of, positive_float, positive_int
from ._configuration import Configuration, field_names, name_of

TABLES = ("base", "grid", "random", "halving")
SAMPLERS = ("independent", "optuna")
DISTRIBUTIONS = ("uniform", "log-uniform", "integers", "choice")


@dataclass(frozen=True)
class Request:
    """Trials to be made: ``base`` holds for all; every combination of ``grid``; samples of ``random``; ``halving``.

    Made by `of`. ValueError names the table and what is wrong in it.

    >>> request = Request.of({"base": {"width": 64}, "grid": {"lr": [0.1, 1.0], "seed": [0, 1, 2]}})
    >>> len(request.required({})), request.fields
    (6, ('lr', 'seed'))
    """

    base: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, list[Any]] = field(default_factory=dict)
    random: dict[str, Any] = field(default_factory=dict)
    halving: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, tables: Mapping[str, Any]) -> Self:
        """From the tables of a TOML file."""
        for name, table in tables.items():
            one_of("table", name, TABLES)
            if not isinstance(table, Mapping):
                raise ValueError(f"`{name}` must be a table of fields; got {table!r}.")
        base, random, halving = (dict(tables.get(name, {})) for name in ("base", "random", "halving"))
        grid = {name: grid_values(name, values) for name, values in tables.get("grid", {}).items()}
        request = cls(base, grid, random, halving)
        request._check()
        return request

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a TOML file; OSError where it is missing, ValueError in one line where it is not TOML."""
        try:
            return cls.of(tomllib.loads(path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no TOML file: {error}") from None

    def tables(self) -> dict[str, Any]:
        """As in a TOML file, without those that are empty."""
        found = {"base": self.base, "grid": self.grid, "random": self.random, "halving": self.halving}
        return {name: table for name, table in found.items() if table}

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that vary by the request's own word: dimensions of the results, in its order."""
        over = [self.halving["over"]] if self.halving else []
        return tuple(dict.fromkeys([*self.grid, *over]))

    @property
    def sampled(self) -> dict[str, dict[str, Any]]:
        """The fields drawn at random, and from what."""
        return {name: dict(value) for name, value in self.random.items() if isinstance(value, Mapping)}

    @property
    def is_adaptive(self) -> bool:
        """Whether later trials depend on results."""
        return bool(self.halving) or self.random.get("sampler") == "optuna"

    def required(self, losses: Mapping[str, float]) -> list[Configuration]:
        """All trials needed as far as ``losses`` (final loss by name, inf where diverged or failed) tell."""
        if self.random.get("sampler") == "optuna":
            from ._optuna import proposals

            return proposals(self, losses)
        points = [*self.points()]
        if not self.halving:
            return [self.configuration(point) for point in points]
        from ._halving import rungs

        return rungs(self, points, losses)

    def points(self) -> Iterator[dict[str, Any]]:
        """Every combination of the grid with every sample, base left out."""
        samples = [self._sample(i) for i in range(self.random["count"])] if self.random else [{}]
        for sample, values in itertools.product(samples, itertools.product(*self.grid.values())):
            yield sample | dict(zip(self.grid, values, strict=True))

    def configuration(self, point: Mapping[str, Any]) -> Configuration:
        """The trial at a point."""
        return Configuration.of(self.base | dict(point))

    def _sample(self, index: int) -> dict[str, Any]:
        """One sample; more samples or fields change none that was drawn before."""
        seed = self.random.get("seed", 0)
        return {
            name: draw(spec, np.random.default_rng((seed, index, zlib.crc32(name.encode()))))
            for name, spec in self.sampled.items()
        }

    def _check(self) -> None:
        varied = [*self.grid, *self.sampled, *([str(self.halving.get("over"))] if self.halving else [])]
        if self.halving:
            from ._halving import check_halving

            check_halving(self.halving)
        for name in (*self.base, *varied):
            one_of("field", name, field_names())
        if self.random:
            self._check_random()
        twice = {name for name in varied if varied.count(name) > 1}
        if twice:
            raise ValueError(f"`{min(twice)}` must stand in one of [grid], [random] and [halving].")
        for name, values in self.grid.items():
            for value in values:
                self.configuration({name: value})
        self.configuration(next(self.points(), {}))

    def _check_random(self) -> None:
        for name, value in self.random.items():
            if not isinstance(value, Mapping):
                one_of("entry of [random]", name, ("count", "seed", "sampler"))
        positive_int("count", self.random.get("count"))
        positive_int("seed", self.random.get("seed", 0), least=0)
        if not self.sampled:
            raise ValueError('[random] must name a field, such as lr = {distribution = "log-uniform", low = .., ...}.')
        for name, spec in self.sampled.items():
            _check_spec(name, spec)
        if one_of("sampler", self.random.get("sampler", SAMPLERS[0]), SAMPLERS) == "optuna" and (
            self.grid or self.halving
        ):
            raise ValueError("`sampler` optuna must stand alone; leave out [grid] and [halving].")


def grid_values(name: str, values: Any) -> list[Any]:
    """A list, or a range {from, to, count, scale = "log" | "linear"} as one.

    >>> grid_values("lr", {"from": 0.01, "to": 1.0, "count": 3, "scale": "log"})
    [0.01, 0.1, 1.0]
    """
    if isinstance(values, Mapping):
        if {*values} - {"from", "to", "count", "scale"} or not {"from", "to", "count"} <= {*values}:
            raise ValueError(f"`{name}` must be a list or {{from, to, count, scale}}; got {dict(values)!r}.")
        ends, count = [values["from"], values["to"]], positive_int("count", values["count"])
        log = one_of("scale", values.get("scale", "linear"), ("log", "linear")) == "log"
        low, high = (positive_float(side, end) if log else end for side, end in zip(("from", "to"), ends, strict=True))
        found = [float(f"{x:.12g}") for x in (np.geomspace if log else np.linspace)(low, high, count)]
        whole = all(type(end) is int for end in ends) and all(x == int(x) for x in found)
        return [int(x) for x in found] if whole else found
    if not isinstance(values, list | tuple | range | np.ndarray) or not len(values):
        raise ValueError(f"`{name}` in [grid] must be a list with at least one value; got {values!r}.")
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def draw(spec: Mapping[str, Any], rng: np.random.Generator) -> Any:
    """One value of a distribution."""
    kind = spec["distribution"]
    if kind == "choice":
        return spec["values"][int(rng.integers(len(spec["values"])))]
    low, high = spec["low"], spec["high"]
    if kind == "integers":
        return int(rng.integers(low, high, endpoint=True))
    if kind == "uniform":
        return float(rng.uniform(low, high))
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def _check_spec(name: str, spec: Mapping[str, Any]) -> None:
    kind = one_of(f"distribution of {name}", spec.get("distribution"), DISTRIBUTIONS)
    needed = {"values"} if kind == "choice" else {"low", "high"}
    if {*spec} != needed | {"distribution"}:
        raise ValueError(f"`{name}` in [random] must have distribution and {sorted(needed)}; got {sorted(spec)}.")
    if kind == "choice":
        grid_values(name, spec["values"])
    elif not spec["low"] < spec["high"] or (kind == "log-uniform" and spec["low"] <= 0):
        raise ValueError(f"`{name}` in [random] must have low below high (log-uniform: above 0); got {dict(spec)!r}.")


def trial_name(configuration: Configuration) -> str:
    """The name of a configuration's trial."""
    return name_of(configuration.canonical())
