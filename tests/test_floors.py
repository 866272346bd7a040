"""Rooms import only from rooms above them in CONTRIBUTING.md's list."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "neural_limits"


def floors() -> dict[str, int]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = text.partition("imports only from rooms above it")[2].partition("`tests/`")[0]
    return {room: floor for floor, rooms in enumerate(listed.split("·")) for room in re.findall(r"`(\w+)`", rooms)}


def imported(path: Path, facade: dict[str, str]) -> Iterator[str]:
    """The rooms that a module imports from, at its top or inside a function."""
    deep = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == deep:  # from the package itself
            names = [node.module.partition(".")[0]] if node.module else [alias.name for alias in node.names]
            yield from (facade.get(name, name) for name in names if name != "__version__")


def test_rooms_import_from_above() -> None:
    floor = floors()
    there = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    assert there - {"__init__", "__pycache__"} == {*floor}
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    facade = {
        alias.name: node.module.partition(".")[0]
        for node in stub.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    wrong = {
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path in PACKAGE.rglob("*.py")
        if (room := path.relative_to(PACKAGE).with_suffix("").parts[0]) != "__init__"
        for other in imported(path, facade)
        if other != room and floor[other] >= floor[room]
    }
    assert wrong == set()
