"""Who may speak to the page: its own address only, and only who knows the token."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]

HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)


def new_token() -> str:
    """A token nobody can guess."""
    return secrets.token_urlsafe(32)


def guarded(app: Wsgi, *, port: int, token: str, policy: str) -> Wsgi:
    """The application behind three questions, each answered 403 in one line.

    The Host header must name this machine's loopback (a web site whose name is bound anew to 127.0.0.1 keeps its own
    name there); an Origin, where there is one, must be the page's own; and the query or the cookie must hold the
    token. The first request with the token sets the cookie, HttpOnly and SameSite=Strict.
    """
    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
    cookie = f"neural-limits-explore-{port}"  # cookies do not know of ports

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
        if host not in hosts:
            return _refuse(start_response, "this page answers to 127.0.0.1 only.")
        if origin is not None and origin != f"http://{host}":
            return _refuse(start_response, "requests from other pages are refused.")
        asked = _same(_query_token(environ), token)
        if not asked and not _same(_cookie_token(environ, cookie), token):
            return _refuse(start_response, "the token is missing or wrong; open the address that the command printed.")

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            added = [*HEADERS, ("Content-Security-Policy", policy)]
            if asked:
                added.append(("Set-Cookie", f"{cookie}={token}; Path=/; HttpOnly; SameSite=Strict"))
            return start_response(status, [*headers, *added], *rest)

        return app(environ, start)

    return application


def content_policy(script_hashes: Iterable[str]) -> str:
    """Nothing from elsewhere; scripts from files, and those inline ones whose hashes are given."""
    scripts = " ".join(["'self'", *script_hashes])
    return (
        f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "font-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _query_token(environ: dict[str, Any]) -> str:
    try:
        return parse_qs(environ.get("QUERY_STRING", ""), max_num_fields=20).get("token", [""])[0]
    except ValueError:
        return ""


def _cookie_token(environ: dict[str, Any], name: str) -> str:
    try:
        found = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _same(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())


def _refuse(start_response: Any, why: str) -> Iterable[bytes]:
    body = f"403: {why}\n".encode()
    start_response(
        "403 Forbidden", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *HEADERS]
    )
    return [body]
