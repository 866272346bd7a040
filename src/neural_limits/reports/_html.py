"""Pieces of HTML: whatever text goes in is escaped, and the type tells which strings are HTML already."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from typing import Any, NewType

from ._style import DPI

Html = NewType("Html", str)

PNG = b"\x89PNG\r\n\x1a\n"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --paper: #ffffff;
  --panel: #f6f8fa; --good: #116329; --bad: #a40e26; --odd: #7d4e00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9da7b1; --line: #373e47;
  --paper: #0f1419; --panel: #1a2027; --good: #57c26e; --bad: #ff8182; --odd: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem 1rem 4rem; max-width: 62rem; color: var(--ink);
  background: var(--paper); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto,
  "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .4rem 0 .6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
.status { border-left: 4px solid var(--odd); background: var(--panel); padding: .55rem .8rem;
  max-width: none; }
.status b, .verdict b { color: var(--odd); }
.status.good { border-color: var(--good); } .status.bad { border-color: var(--bad); }
.good b { color: var(--good); } .bad b { color: var(--bad); }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap; }
.wide table { min-width: 46rem; }
.tight table { font-size: .75rem; } .tight th, .tight td { padding-right: .45rem; }
.tight thead th { white-space: normal; vertical-align: bottom; }
th.n, td.n { text-align: right; white-space: nowrap; }
figure { margin: 0 0 1.8rem; }
figure img { display: block; max-width: max(100%, 42rem); height: auto; background: #fff; border-radius: 4px;
  padding: .4rem; }
figcaption { margin-top: .5rem; max-width: 46rem; }
pre { background: var(--panel); padding: .7rem .8rem; overflow-x: auto; font-size: .85rem; line-height: 1.45;
  white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--soft); margin: .6rem 0; }
"""


def text(value: Any) -> Html:
    """Any value as text that HTML cannot read as markup.

    >>> text("<script>'x'&")
    '&lt;script&gt;&#x27;x&#x27;&amp;'
    """
    return Html(html.escape(str(value), quote=True))


def join(parts: Iterable[Html]) -> Html:
    """Pieces one after the other."""
    return Html("\n".join(parts))


def element(tag: str, *content: Html, kind: str = "") -> Html:
    """An element; ``tag`` and ``kind`` (its class) are ours, never a user's."""
    attribute = f' class="{kind}"' if kind else ""
    return Html(f"<{tag}{attribute}>{''.join(content)}</{tag}>")


def table(
    headers: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Iterable[int] = (), tight: bool = False
) -> Html:
    """A table that scrolls on a narrow screen; columns in ``numbers`` are set to the right; ``tight``: many columns."""
    right = set(numbers)

    def row(tag: str, cells: Sequence[Any]) -> Html:
        return element("tr", *(element(tag, text(c), kind="n" if i in right else "") for i, c in enumerate(cells)))

    head = element("thead", row("th", headers)) if headers else Html("")
    body = element("tbody", *(row("td", cells) for cells in rows))
    return element("div", element("table", head, body), kind="scroll tight" if tight else "scroll")


def image(content: bytes, caption: str) -> Html:
    """A PNG inside the page at its own size, and its caption; ValueError for another kind of file."""
    if not content.startswith(PNG) or len(content) < 24:
        raise ValueError("`content` must be a PNG file.")
    width = round(int.from_bytes(content[16:20], "big") * 96 / DPI)
    data = base64.b64encode(content).decode("ascii")
    picture = Html(f'<img width="{width}" alt="{text(caption)}" src="data:image/png;base64,{data}">')
    return element("figure", element("div", picture, kind="scroll"), element("figcaption", text(caption)))


def section(title: str, *content: Html) -> Html:
    """A heading and what is under it."""
    return join([element("h2", text(title)), *content])


def details(title: str, *content: Html) -> Html:
    """Something folded away until it is asked for."""
    return element("details", element("summary", text(title)), *content)


def page(title: str, *content: Html, scripts: Sequence[str] = (), style: str = "") -> str:
    """A whole page: it needs no network, and its policy allows nothing fetched, and no scripts but those given.

    ``scripts`` stand at the end of the page, known to the policy by their hashes, so that no other text can run.
    """
    policy = POLICY
    if scripts:
        hashes = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
        policy += "; script-src " + " ".join(f"'sha256-{h}'" for h in hashes)
        policy = policy.replace("img-src data:", "img-src data: blob:")  # a figure saved as a file
    runs = "".join(f"<script>{s}</script>\n" for s in scripts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n<body>\n{join(content)}\n{runs}</body>\n</html>\n"
    )
