"""What the pages of runs and of experiments have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..runs import RunFolder
from ._html import Html, element, image, join, section, table, text

REPORT = "report.html"
GOOD = {"completed", "holds"}
BAD = {"failed", "interrupted", "fails"}


def mood(word: str) -> str:
    """The class that colours a status or verdict."""
    return "good" if word in GOOD else "bad" if word in BAD else ""


def status_line(folder: RunFolder) -> Html:
    """How the run ended, and what it has to say."""
    status, message = folder.status, folder.message
    words = element("b", text(status))
    line = element("p", words, text(f": {message}" if message else ""), kind=f"status {mood(status)}".strip())
    warnings = folder.info().get("warnings", [])
    return join([line, *(element("p", text(f"Warning: {warning}"), kind="soft") for warning in warnings)])


def record_sections(info: Mapping[str, Any]) -> list[Html]:
    """The command that makes the run again, its configuration, versions."""
    parts = []
    if info.get("command"):
        parts.append(section("Run it again", element("pre", text(info["command"]))))
    if info.get("configuration"):
        parts.append(section("Configuration", mapping(info["configuration"])))
    times = {name: info[name] for name in ("created", "finished") if name in info}
    parts.append(section("Versions", mapping({**info.get("versions", {}), **times})))
    return parts


def mapping(values: Mapping[str, Any]) -> Html:
    """Names and values in two columns."""
    return table((), [(name, show(value)) for name, value in values.items()])


def show(value: Any) -> str:
    """A value of a configuration as one would type it.

    >>> show([0, 1]), show(None), show(True)
    ('0,1', '–', 'yes')
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ",".join(show(item) for item in value)
    return str(value)


def pictures(folder: RunFolder, captions: Mapping[str, str]) -> list[Html]:
    """The PNG files that the run's record lists, with a caption by name (without .png)."""
    names = [name for name in folder.info()["files"] if name.endswith(".png") and folder.has(name)]
    found = []
    for name in names:
        key = name.removesuffix(".png")
        try:
            found.append(image((folder.path / name).read_bytes(), str(captions.get(key, key))))
        except ValueError:
            raise OSError(f"{folder.path / name} is damaged (no PNG file); restore it, or run again.") from None
    return found
