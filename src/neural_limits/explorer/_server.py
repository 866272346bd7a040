"""The explorer's server: loopback only, a token, and an end at Ctrl-C."""

from __future__ import annotations

import logging
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dash import Dash
from waitress import create_server

from ._callbacks import connect
from ._guard import Wsgi, content_policy, guarded, new_token
from ._page import layout
from ._worker import Worker

HOST = "127.0.0.1"
THREADS = 4
BODY = 2**20  # bytes of a request
INDEX = """<!DOCTYPE html>
<html lang="en">
<head>{%metas%}<title>{%title%}</title>{%favicon%}{%css%}</head>
<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body>
</html>
"""


def application(worker: Worker) -> Dash:
    """The Dash application; its scripts and styles come from the installed packages, none from a network."""
    app = Dash(
        "neural_limits.explorer", title="neural-limits explorer", update_title="", serve_locally=True,
        assets_folder=str(Path(__file__).parent / "assets"), enable_mcp=False, compress=False,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )  # fmt: skip
    app.index_string = INDEX
    app.layout = layout()
    connect(app, worker)
    return app


def guarded_application(worker: Worker, port: int, token: str) -> Wsgi:
    """The application that only the page itself can reach."""
    app = application(worker)
    return guarded(app.server, port=port, token=token, policy=content_policy(app.csp_hashes()))


def serve(port: int = 0, browser: bool = True, tell: Callable[[str], None] = print) -> None:
    """Serve the page on 127.0.0.1 until Ctrl-C; ``port`` 0 is any that is free. ``tell`` is given the address.

    OSError, in one line, where the port cannot be had.
    """
    logging.getLogger("waitress").setLevel(logging.ERROR)
    token = new_token()
    inner: list[Wsgi] = []
    try:
        server: Any = create_server(
            lambda environ, start: inner[0](environ, start), host=HOST, port=port, threads=THREADS, ident=None,
            max_request_body_size=BODY,
        )  # fmt: skip
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OSError(f"`port` {port} cannot be had ({reason}); leave it out for any free one.") from None
    worker = Worker()
    try:
        inner.append(guarded_application(worker, server.effective_port, token))
        address = f"http://{HOST}:{server.effective_port}/?token={token}"
        tell(address)
        if browser:
            webbrowser.open(address)
        server.run()  # returns at Ctrl-C
    finally:
        server.close()
        worker.close()
