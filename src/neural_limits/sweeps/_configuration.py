"""One training run described by plain values: the fields of `simulate`, of a sweep's trials, and their hash."""

from __future__ import annotations

import hashlib
import json
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from .._checks import one_of

FORMAT = 1  # of the hash: raised where the same fields come to mean another run
LAYERS, DEPTH, BLOCK = 3, 8, "one-layer"
IMAGES = 20  # training samples of an image task unless told
TOLERANCE = 1e-2  # `train`'s
MUON_TOLERANCE = 1e-3  # Muon lifts small directions, so that what is left out counts for more: docs/optimizers.md
MOMENTUM = {"sgd": 0.0, "muon": 0.95, "adam": 0.0}
PLACES = ("data_folder", "memory")  # where a run finds its data and its room; its numbers are the same
# Fields that came after the first names were given: at these values a run is the one it was without them.
LATER: dict[str, Any] = {"nesterov": False, "schedule": "constant", "warmup": 0}


@dataclass(frozen=True)
class Configuration:
    """The fields of one training run; None stands for the default that `filled` fills in."""

    task: Literal["toy", "digits", "fashion-mnist", "cifar10"] = "toy"
    """The data to train on."""
    classes: tuple[int, ...] | None = None
    """Image tasks: the classes to tell apart."""
    samples: int | None = None
    """Training samples. The touched rank, and with it the cost, is several times their number."""
    inputs: int | None = None
    """toy: input dimension."""
    outputs: int | None = None
    """toy: outputs."""
    data_folder: Path | None = None
    """fashion-mnist, cifar10: the folder with the files."""

    network: Literal["mlp", "resnet"] = "mlp"
    """The architecture."""
    hidden: int | None = None
    """mlp: hidden weight matrices."""
    depth: int | None = None
    """resnet: blocks."""
    block: Literal["one-layer", "two-layer"] | None = None
    """resnet: weight matrices in a block."""
    activation: str = "tanh"
    """One of tanh, relu, gelu, erf, linear."""
    width: int = 16384
    """Neurons in each hidden layer."""
    parametrization: Literal["mup", "depth-mup", "ntk", "standard"] = "mup"
    """How multipliers, initial deviations and rates depend on width; depth-mup, for resnet, on depth too."""
    gamma: float | None = None
    """Output scale: the readout is divided by it. Larger values learn more features; at 1 the toy shows no outlier."""
    sigma_w: float = 1.0
    """Initial standard deviation of hidden weights, times the square root of the width."""

    optimizer: Literal["sgd", "muon", "adam"] = "sgd"
    """adam has no exact form on conditioned weights: use it with --weights dense."""
    lr: float = 0.3
    """Learning rate. A step of muon has this spectral norm: take 0.1 or less."""
    momentum: float | None = None
    """sgd, muon: momentum."""
    nesterov: bool | None = None
    """sgd, muon: step along the gradient plus momentum times the momentum, as Nesterov."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    schedule: Literal["constant", "linear", "cosine", "inverse-sqrt"] = "constant"
    """The rate after warm-up: linear and cosine fall to zero at the end."""
    warmup: int = 0
    """Updates over which the rate rises to lr."""
    steps: int = 100
    """Updates."""
    batch: int | None = None
    """Mini-batch size."""
    seed: int = 0
    """Of the initial weights and the batches; the data stay the same."""

    weights: Literal["conditioned", "dense"] = "conditioned"
    """dense: train the ordinary network."""
    tolerance: float | None = None
    """Relative size below which a new direction is not kept."""
    memory: float | None = None
    """GiB that conditioned weights may grow to."""
    dtype: Literal["float32", "float64"] = "float32"
    """Precision."""
    record: tuple[int, ...] | None = None
    """Updates after which outliers are computed."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From a table of fields, with whole numbers for floats and lists for tuples taken as meant.

        ValueError for a field that there is none of, or a value of another kind.

        >>> Configuration.of({"lr": 1, "classes": [0, 1], "task": "digits"}).classes
        (0, 1)
        """
        kinds = _kinds()
        return cls(**{one_of("field", name, kinds): _value(name, value, kinds[name]) for name, value in values.items()})

    def filled(self) -> Self:
        """Every default that depends on other fields filled in.

        >>> Configuration().filled().gamma, Configuration(network="resnet", hidden=None).filled().depth
        (4.0, 8)
        """
        toy, mlp, muon = self.task == "toy", self.network == "mlp", self.optimizer == "muon"
        defaults: dict[str, Any] = {"gamma": 4.0 if toy else 1.0, "samples": 4 if toy else IMAGES}
        defaults |= {"inputs": 8, "outputs": 1} if toy else {}
        defaults |= {"hidden": LAYERS} if mlp else {"depth": DEPTH, "block": BLOCK}
        defaults |= {"momentum": MOMENTUM[self.optimizer], "nesterov": muon}
        defaults |= {"tolerance": MUON_TOLERANCE if muon else TOLERANCE} if self.weights == "conditioned" else {}
        return replace(self, **{name: value for name, value in defaults.items() if getattr(self, name) is None})

    def plain(self) -> dict[str, Any]:
        """All fields that a run's numbers depend on, defaults filled in, in plain types."""
        plain = dict(vars(self.filled()))
        plain |= {"record": self.record or ()}  # unless asked for, a trial computes none
        return {k: list(v) if isinstance(v, tuple) else v for k, v in sorted(plain.items()) if k not in PLACES}

    def canonical(self) -> dict[str, Any]:
        """Those that a trial is named by: a field that came later is left out where it changes nothing.

        >>> "nesterov" in Configuration().canonical(), Configuration(optimizer="muon").canonical()["nesterov"]
        (False, True)
        """
        later = {} if self.optimizer == "muon" else LATER
        return {k: v for k, v in self.plain().items() if k not in later or v != later[k]}

    @property
    def is_scheduled(self) -> bool:
        """Whether the rate changes over the run."""
        return self.schedule != "constant" or self.warmup > 0

    def shape(self) -> str:
        """What the compiled program depends on; runs of one shape follow each other on a worker."""
        traced = {"lr", "momentum", "weight_decay", "seed", "gamma", "sigma_w", "parametrization"}
        traced |= {"schedule", "warmup"}
        plain = self.plain()
        found = {k: v for k, v in plain.items() if k not in traced}
        return json.dumps(found | {"momentum": bool(plain["momentum"]), "scheduled": self.is_scheduled}, sort_keys=True)


def name_of(canonical: Mapping[str, Any]) -> str:
    """The name of a trial: a hash of its canonical configuration, whatever the order of its fields.

    >>> name_of({"lr": 0.1, "width": 64}) == name_of({"width": 64, "lr": 0.1})
    True
    """
    text = json.dumps([FORMAT, dict(canonical)], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def field_names() -> tuple[str, ...]:
    """All fields of a configuration."""
    return tuple(field.name for field in fields(Configuration))


@cache
def _kinds() -> dict[str, Any]:
    """The type of each field."""
    return get_type_hints(Configuration)


def _value(name: str, value: Any, kind: Any) -> Any:
    """The value in the field's type; ValueError naming both where it has none."""
    if get_origin(kind) in (Union, types.UnionType):
        if value is None:
            return None
        kind = next(k for k in get_args(kind) if k is not types.NoneType)
    if get_origin(kind) is Literal:
        return one_of(name, value, get_args(kind))
    if get_origin(kind) is tuple:
        if isinstance(value, list | tuple) and all(type(item) is int for item in value):
            return tuple(value)
    elif kind is float and type(value) in (int, float):
        return float(value)
    elif kind is Path and isinstance(value, str | Path):
        return Path(value)
    elif type(value) is kind:
        return value
    said = {float: "a number", int: "a whole number", bool: "true or false", str: "text", Path: "a path"}
    raise ValueError(f"`{name}` must be {said.get(kind, 'a list of whole numbers')}; got {value!r}.")
