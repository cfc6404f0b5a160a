"""Fetches one small JSON document over HTTPS with the standard library, and trusts nothing.

A service may be slow, down, redirected, hostile or not the one it was; a token must not leave for
another host, nor appear in anything that is written down.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from jupyter_green import __version__
from jupyter_green.errors import IntensityUnavailable

TIMEOUT_S = 5.0
"""For the connection, and for each piece of the answer ..."""
DEADLINE_S = 15.0
"""... and for all of them together: an answer that drips is given up."""
MOST_BYTES = 64 * 1024
"""Answers of the services have less than 2 kB."""
MOST_WORDS = 160
"""Of an error's text, characters."""
AGAIN_AT_MOST_S = 24 * 3600.0
"""Nobody is told to wait for longer than this."""

REFUSED = (400, 401, 402, 403, 404)
"""To ask the same again soon changes nothing."""


class _NoRedirect(HTTPRedirectHandler):
    """An API has no reason to redirect, and a token must not follow to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Fetcher:
    """Asks one service.

    Args:
        service: its name, for errors.
        base_url: without the path.
        headers: to be sent along.
        secret: the token among them; no error holds it.
    """

    def __init__(
        self,
        service: str,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        secret: str = "",
    ) -> None:
        self._service = service
        self._base_url = base_url.rstrip("/")
        self._headers = {"Accept": "application/json", **(headers or {})}
        self._secret = secret
        self._opener = build_opener(_NoRedirect)

    def __repr__(self) -> str:
        return f"<Fetcher of {self._service}>"

    def get(self, path: str) -> Any:
        """The JSON document at a path.

        Raises:
            IntensityUnavailable: there is none, for whatever reason.
        """
        agent = f"jupyter_green/{__version__}"
        request = Request(self._base_url + path, headers={**self._headers, "User-Agent": agent})
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                return self._parsed(_body(answer))
        except HTTPError as error:
            with error:
                raise self._refused(error) from None
        except TimeoutError:
            raise self.unavailable(f"gave no whole answer within {DEADLINE_S:g} s") from None
        except URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise self.unavailable(f"did not answer within {TIMEOUT_S:g} s") from None
            raise self.unavailable(f"cannot be reached ({error.reason})") from None
        except (OSError, HTTPException, ValueError) as error:
            raise self.unavailable(f"cannot be asked ({type(error).__name__}: {error})") from None

    def unavailable(
        self, what: str, *, again_s: float | None = None, refused: bool = False
    ) -> IntensityUnavailable:
        """An error about this service, made safe to be written down."""
        return IntensityUnavailable(
            f"{self._service} {self._scrubbed(what)}", again_s=again_s, refused=refused
        )

    def _parsed(self, body: bytes) -> Any:
        if len(body) > MOST_BYTES:
            raise self.unavailable(f"answered with more than {MOST_BYTES // 1024} kB")
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise self.unavailable("answered with something that is no JSON") from None

    def _refused(self, error: HTTPError) -> IntensityUnavailable:
        if 300 <= error.code < 400:
            host = urlsplit(error.headers.get("Location", "")).hostname or "another path"
            what = f"redirects to {host}, which is not followed; set intensity_url if it has moved"
            return self.unavailable(what, refused=True)
        said = _message(error)
        what = f"answered with status {error.code}" + (f" ({said})" if said else "")
        again_s = _retry_after_s(error.headers.get("Retry-After"))
        return self.unavailable(what, again_s=again_s, refused=error.code in REFUSED)

    def _scrubbed(self, text: str) -> str:
        for form in {self._secret, quote(self._secret, safe="")} - {""}:
            text = text.replace(form, "[token]")
        printable = "".join(letter if letter.isprintable() else " " for letter in text)
        words = " ".join(printable.split())
        return words if len(words) <= MOST_WORDS else f"{words[: MOST_WORDS - 1]}…"


def _body(answer: HTTPResponse) -> bytes:
    """The answer, or as much of it as shows that it is too long."""
    until = time.monotonic() + DEADLINE_S
    body = b""
    while len(body) <= MOST_BYTES and (piece := answer.read1(MOST_BYTES)):
        body += piece
        if time.monotonic() > until:
            raise TimeoutError
    return body


def _message(error: HTTPError) -> str:
    """What the service says about its refusal; most say it under one of two names."""
    try:
        said = json.loads(error.read(MOST_BYTES))
    except (OSError, HTTPException, ValueError, RecursionError):
        return ""
    if not isinstance(said, dict):
        return ""
    what = said.get("message") or said.get("error")
    if isinstance(what, dict):  # the UK's: {"error": {"code": ..., "message": ...}}
        what = what.get("message") or what.get("code")
    return what if isinstance(what, str) else ""


def _retry_after_s(value: str | None) -> float | None:
    """Seconds from the header, which holds seconds or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        again_s = float(int(value))
    except ValueError:
        try:
            then = parsedate_to_datetime(value)
        except ValueError:
            return None
        then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
        again_s = (then - datetime.now(UTC)).total_seconds()
    return min(max(0.0, again_s), AGAIN_AT_MOST_S)
