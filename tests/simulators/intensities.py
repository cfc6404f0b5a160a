"""A server on this machine that answers as the providers of carbon intensities have published it,
or as badly as one wants. It counts what it is asked.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Reply = Callable[[BaseHTTPRequestHandler], None]


class IntensityServer:
    """``with IntensityServer() as server``; ``server.reply`` answers every request."""

    def __init__(self) -> None:
        self.reply: Reply = says({"error": "nothing was set up"}, 500)
        self.paths: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                outer.headers.append(dict(self.headers.items()))
                with suppress(OSError):  # the client may have given up
                    outer.reply(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def asked(self) -> int:
        return len(self.paths)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def says(body: object, status: int = 200, **headers: str) -> Reply:
    """JSON, or bytes as they are. Underscores in the names of headers stand for hyphens."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return reply


def sleeps(seconds: float) -> Reply:
    """Says nothing for so long."""
    return lambda handler: time.sleep(seconds)


def drips(piece: bytes, pause_s: float, times: int) -> Reply:
    """A body without a length, piece by piece."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(times):
            handler.wfile.write(piece)
            handler.wfile.flush()
            time.sleep(pause_s)

    return reply


def echoes_token(status: int) -> Reply:
    """An error that repeats what it was sent, as some gateways do."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        message = f"Invalid auth-token {handler.headers['auth-token']!r} for {handler.path}"
        says({"message": message}, status)(handler)

    return reply


def electricity_maps(g_per_kwh: object, zone: str = "FR", **changes: object) -> dict[str, object]:
    """``/v3/carbon-intensity/latest`` as it is published."""
    return {
        "zone": zone,
        "carbonIntensity": g_per_kwh,
        "datetime": "2026-11-21T14:00:00.000Z",
        "updatedAt": "2026-11-21T13:41:10.000Z",
        "createdAt": "2026-11-18T14:42:01.000Z",
        "emissionFactorType": "lifecycle",
        "isEstimated": False,
        "estimationMethod": None,
        "temporalGranularity": "hourly",
        **changes,
    }


def uk_national(actual: object, forecast: object = 266) -> dict[str, object]:
    """``/intensity`` as it is published."""
    values = {"forecast": forecast, "actual": actual, "index": "moderate"}
    return {"data": [{"from": "2026-11-21T14:00Z", "to": "2026-11-21T14:30Z", "intensity": values}]}


def uk_regional(forecast: object) -> dict[str, object]:
    """``/regional/postcode/SW1A`` as it is published: regions have no actual values."""
    half_hour = {
        "from": "2026-11-21T14:00Z",
        "to": "2026-11-21T14:30Z",
        "intensity": {"forecast": forecast, "index": "moderate"},
        "generationmix": [{"fuel": "gas", "perc": 43.6}, {"fuel": "wind", "perc": 33.8}],
    }
    region = {
        "regionid": 13,
        "dnoregion": "UKPN London",
        "shortname": "London",
        "postcode": "SW1A",
        "data": [half_hour],
    }
    return {"data": [region]}
