"""Which data sets this machine has."""

from __future__ import annotations

from pathlib import Path

from . import _cifar10, _fashion_mnist


def found() -> dict[str, Path | None]:
    """The folder of each data set that needs files, None where there is none; nothing is read or fetched.

    >>> sorted(found())
    ['cifar-10', 'fashion-mnist']
    """
    return {_fashion_mnist.NAME: _fashion_mnist.locate(), _cifar10.NAME: _cifar10.locate()}
