"""Where each trial of a sweep stands: the fields that vary as dimensions, their values as labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from ._request import Request

SPARSE = 20  # cells for a trial up to which the grid is laid out in full; beyond it trials stand in one row
FORMS = ("weights", "tolerance", "dtype")  # how a network is computed, not which: no dimension if another one fixes it

Values = Mapping[str, Any]  # of the fields of a trial


class Axes(NamedTuple):
    """Labels of each dimension, all coordinates, and the cell of each trial."""

    labels: dict[str, list[Any]]
    coordinates: dict[str, Any]
    cells: list[tuple[int, ...]]


def axes_of(trials: Sequence[Values], requests: Sequence[Request]) -> Axes:
    """The fields of the grids, then others of a base in which trials differ; ``trial`` for what was drawn at random."""
    drawn = [name for name in dict.fromkeys(n for r in requests for n in r.sampled) if _varies(name, trials)]
    asked = [n for n in dict.fromkeys(n for r in requests for n in r.fields) if n in trials[0]]
    given = {name for request in requests for name in request.base}
    others = [n for n in trials[0] if n in given and n not in (*asked, *drawn) and _varies(n, trials)]
    fixed = _fixed(asked, others, trials)
    fields = [name for name in (*asked, *others) if name not in (*drawn, *fixed)]
    labels = {name: _labels(name, trials, requests) for name in fields}
    if np.prod([len(found) for found in labels.values()], dtype=float) > SPARSE * len(trials):
        drawn, fields, labels, fixed = [*fields, *fixed, *drawn], [], {}, {}
    coordinates: dict[str, Any] = dict(labels)
    place = {name: {label: i for i, label in enumerate(found)} for name, found in labels.items()}
    cells = [tuple(place[n][_label(values[n])] for n in fields) for values in trials]
    if drawn:
        samples = [tuple(values[name] for name in drawn) for values in trials]
        number = {sample: i for i, sample in enumerate(dict.fromkeys(samples))}
        labels["trial"] = list(range(len(number)))
        coordinates |= {name: ("trial", _column([sample[i] for sample in number])) for i, name in enumerate(drawn)}
        cells = [(*cell, number[sample]) for cell, sample in zip(cells, samples, strict=True)]
    told = {
        name: (along, _told(name, along, labels[along], trials)) for name, along in fixed.items() if along in labels
    }
    return Axes(labels, coordinates | told, cells)


def asked_for(requests: Sequence[Request], labels: Mapping[str, Sequence[Any]]) -> ndarray:
    """The cells that a grid asked for; samples and rungs are asked for as they are made."""
    asked = np.zeros(tuple(map(len, labels.values())), bool)
    for request in (r for r in requests if not (r.random or r.halving)):
        fixed = request.configuration(next(request.points())).plain()
        wanted = {name: {_label(v) for v in request.grid.get(name, [fixed.get(name)])} for name in labels}
        inside = [[label in wanted[name] for label in found] for name, found in labels.items()]
        asked[np.ix_(*inside)] = True
    return asked


def _varies(name: str, trials: Sequence[Values]) -> bool:
    return any(values.get(name) != trials[0].get(name) for values in trials)


def _label(value: Any) -> Any:
    """A value as a coordinate: numbers and text as they are, the rest as text."""
    if isinstance(value, int | float | str):
        return value
    return "none" if value is None else ",".join(map(str, value)) or "none"


def _labels(name: str, trials: Sequence[Values], requests: Sequence[Request]) -> list[Any]:
    """The values of a field: numbers in their order, others in the order of the grids."""
    found = {_label(values.get(name)) for values in trials}
    if all(isinstance(label, int | float) for label in found):
        return sorted(found)
    asked = [_label(value) for r in requests for value in r.grid.get(name, ())]
    return [label for label in dict.fromkeys([*asked, *sorted(found, key=str)]) if label in found]


def _fixed(asked: Sequence[str], others: Sequence[str], trials: Sequence[Values]) -> dict[str, str]:
    """The forms that another field fixes in every trial, with that field."""
    fields, fixed = [*asked, *(name for name in others if name not in FORMS)], {}
    for name in (form for form in FORMS if form in others):
        for field in fields:
            values: dict[Any, Any] = {}
            if all(values.setdefault(trial[field], trial[name]) == trial[name] for trial in trials):
                fixed[name] = field
                break
        else:
            fields.append(name)
    return fixed


def _told(name: str, along: str, labels: Sequence[Any], trials: Sequence[Values]) -> ndarray:
    """The value of a field for each of another that fixes it."""
    values = {_label(trial[along]): trial[name] for trial in trials}
    return _column([values[label] for label in labels])


def _column(values: Sequence[Any]) -> ndarray:
    return np.array([_label(value) for value in values])
