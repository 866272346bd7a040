"""Measured tables in the documentation: copies of `results/`, between two comments, so that they cannot differ."""

from __future__ import annotations

import re
from pathlib import Path

from _common import HEADLINES, RESULTS

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"(<!-- benchmarks/results/(\S+)\.md -->\n).*?(\n<!-- end -->)", re.DOTALL)


def refreshed(page: str) -> str:
    """The page with its tables as they are in the results now."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{measured(found[2])}\n{found[3]}", page)


def measured(name: str) -> str:
    """What a benchmark wrote, without the headlines, which are in the tables."""
    text = (RESULTS / f"{name}.md").read_text().strip()
    return re.sub(re.escape("\n".join(HEADLINES)) + r"\n(\|.*\n)+\n", "", text)


def refresh() -> None:
    """All pages."""
    for file in DOCS.glob("*.md"):
        page = file.read_text()
        if refreshed(page) != page:
            file.write_text(refreshed(page))


if __name__ == "__main__":
    refresh()
