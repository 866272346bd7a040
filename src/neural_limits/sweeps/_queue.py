"""Trials to be done, those of one shape together, so that compiled programs are used again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass
class Queue:
    """Names of trials by shape, in the order they came.

    >>> queue = Queue()
    >>> for name, shape in (("a", "wide"), ("b", "deep"), ("c", "wide")):
    ...     queue.add(name, shape)
    >>> queue.next("slot 1"), queue.next("slot 2"), queue.next("slot 1"), len(queue)
    (('a', 'wide'), ('b', 'deep'), ('c', 'wide'), 0)
    """

    _groups: OrderedDict[str, OrderedDict[str, None]] = field(default_factory=OrderedDict)
    _shapes: dict[str, str] = field(default_factory=dict)
    _last: dict[str, str] = field(default_factory=dict)  # the shape that a slot had last

    def __len__(self) -> int:
        return len(self._shapes)

    def __contains__(self, name: str) -> bool:
        return name in self._shapes

    def add(self, name: str, shape: str) -> None:
        """Another trial, unless it is there."""
        if name not in self._shapes:
            self._shapes[name] = shape
            self._groups.setdefault(shape, OrderedDict())[name] = None

    def drop(self, name: str) -> None:
        """Take a trial out, if it is there."""
        shape = self._shapes.pop(name, None)
        if shape is not None:
            del self._groups[shape][name]
            if not self._groups[shape]:
                del self._groups[shape]

    def next(self, slot: str) -> tuple[str, str]:
        """A trial of the shape the slot had last, else of the largest group that no other slot works on."""
        shape = self._last.get(slot, "")
        if shape not in self._groups:
            others = {s for o, s in self._last.items() if o != slot}
            shape = max(self._groups, key=lambda s: (s not in others, len(self._groups[s])))
        self._last[slot] = shape
        name = next(iter(self._groups[shape]))
        self.drop(name)
        return name, shape

    def forget(self, slot: str) -> None:
        """A slot that is gone."""
        self._last.pop(slot, None)
