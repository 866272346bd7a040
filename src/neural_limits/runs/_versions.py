"""Versions of what a run depends on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("neural-limits", "jax", "numpy")


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Version of Python and of each package, empty for one that is not installed; nothing is imported.

    >>> sorted(versions())
    ['jax', 'neural-limits', 'numpy', 'python']
    """
    return {"python": platform.python_version()} | {name: _version(name) for name in packages}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
