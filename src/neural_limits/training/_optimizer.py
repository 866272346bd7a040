"""What an optimizer is: numbers to be traced, a state, and one step."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import jax
from jaxtyping import Array

from ..networks import Gradients, Parameters
from ..parametrizations import Rules
from ._schedule import Schedule


class Numbers(NamedTuple):
    """An optimizer's numbers, traced, so that a sweep over them compiles once."""

    lr: Any
    input: Any  # rates of the input and output weights
    output: Any
    layers: tuple[Any, ...] | None  # factors of the hidden rate, layer by layer; None for ones
    first: Any  # momentum, or Adam's β1
    second: Any  # Adam's β2
    epsilon: Any  # Adam's ε, Muon's cutoff
    decay: Any
    ahead: Any = None  # Nesterov's: the momentum that a step adds to the gradient; None for the plain kind
    factors: Any = None  # of all rates, step by step; None for ones

    def at(self, step: Any) -> Numbers:
        """The rates of one step."""
        if self.factors is None:
            return self
        f = self.factors[step]
        return self._replace(lr=f * self.lr, input=f * self.input, output=f * self.output)

    def momentum(self, state: Moments, gradients: Moments) -> tuple[Moments, Moments]:
        """v ← momentum v + g, and the move: v itself, or g + momentum v for Nesterov's."""
        state = jax.tree.map(lambda v, g: self.first * v + g, state, gradients)
        if self.ahead is None:
            return state, state
        moves = jax.tree.map(lambda v, g: g + self.ahead * v, state, gradients)
        return state, moves


class Moments(NamedTuple):
    """One moment of the gradients: arrays for input and output, cores for the hidden weights."""

    input: Array
    hidden: tuple[Array, ...]
    output: Array


class Optimizer(abc.ABC):
    """Numbers, state, and one step; the step is the class's, so that only its kind is compiled in."""

    low_rank: bool  # whether its steps keep a low-rank gradient low rank
    schedule: Schedule | None = None

    @property
    def kind(self) -> type[Optimizer]:
        """The class whose ``update`` is compiled in."""
        return type(self)

    def numbers_for(self, steps: int) -> Numbers:
        """The numbers of a run of so many steps: with the schedule's factors, if there is one."""
        factors = None if self.schedule is None else self.schedule.factors(steps)
        return self.numbers._replace(factors=factors)

    @property
    @abc.abstractmethod
    def numbers(self) -> Numbers:
        """The numbers to be traced."""

    @abc.abstractmethod
    def init(self, parameters: Parameters) -> Any:
        """The state before the first step."""

    @classmethod
    @abc.abstractmethod
    def update(
        cls, parameters: Parameters, state: Any, gradients: Gradients, numbers: Numbers, rules: Rules,
        hidden_rates: tuple[Any, ...],
    ) -> tuple[Parameters, Any]:  # fmt: skip
        """One step: the new weights and state. ``hidden_rates`` is `Network.hidden_rates`."""


def check_optimizer(optimizer: object, weights: str) -> Optimizer:
    """The optimizer, if it is one and exact on this form of weights; ValueError with the reason otherwise."""
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"`optimizer` must be one of neural_limits' (SGD, Muon, Adam); got {optimizer!r}.")
    if weights == "conditioned" and not optimizer.low_rank:
        raise ValueError(
            f"`optimizer` {type(optimizer).__name__} divides gradients entry by entry, which is not low rank and has "
            'no exact form on conditioned weights; use weights="dense", or SGD or Muon.'
        )
    return optimizer
