"""A page that looks at a kernel's session, without a browser: it speaks the panel's protocol."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty
from typing import Any, TypeVar

from jupyter_client.blocking.client import BlockingKernelClient

from jupyter_green.notebook.protocol import COMM_ID, PROTOCOL
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session

from .kernels import PATIENCE_S, Kernel

T = TypeVar("T")


class Panel:
    """A second client of a kernel. Messages are taken in only while somebody waits for them."""

    def __init__(self, kernel: Kernel, name: str = "page", subshell: str | None = None) -> None:
        self.name = name
        self.messages: list[dict[str, Any]] = []
        self.arrived_s: list[float] = []
        self.sizes: list[int] = []
        self.stream: str | None = None
        self.next: int | None = None
        self.missed = 0
        self._subshell = subshell
        self._parts: dict[int, bytes] = {}
        self._fold: Fold | None = None
        self._requests = 0
        self.client: BlockingKernelClient = kernel.manager.blocking_client()
        self.client.start_channels()
        # Nothing that comes before the subscription is in place is heard.
        self.client.kernel_info()
        self.client.get_iopub_msg(timeout=PATIENCE_S)

    def close(self) -> None:
        self.client.stop_channels()

    # --- talking ---

    def send(self, data: Any) -> None:
        message = self.client.session.msg("comm_msg", {"comm_id": COMM_ID, "data": data})
        if self._subshell is not None:
            message["header"]["subshell_id"] = self._subshell
        self.client.shell_channel.send(message)

    def greet(self, **more: Any) -> None:
        greeting = {"type": "hello", "protocol": PROTOCOL, "version": "test", "client": self.name}
        self.send({**greeting, **more})

    def watch(self, visible: bool = True, refresh_s: float = 0.5) -> None:
        look = {"type": "watch", "client": self.name, "visible": visible, "refresh_s": refresh_s}
        self.send({**look, "stream": self.stream, "next": self.next})

    def ask(self, what: str, argument: str | None = None) -> dict[str, Any]:
        self._requests += 1
        request = self._requests
        asked = {"type": "ask", "request": request, "client": self.name, "what": what}
        self.send({**asked, "argument": argument})
        return self.until(
            lambda: next((m for m in self.messages if m.get("request") == request), None),
            timeout_s=30,
        )

    # --- listening ---

    def listen(self, seconds: float) -> None:
        """Take in what comes for so long."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            with suppress(Empty):
                self._receive(self.client.get_iopub_msg(timeout=left_s))

    def until(self, look: Callable[[], T | None], timeout_s: float = PATIENCE_S) -> T:
        """What ``look`` returns as soon as it is true."""
        deadline = time.monotonic() + timeout_s
        while not (found := look()):
            assert time.monotonic() < deadline, self.messages[-5:]
            self.listen(0.05)
        return found

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    def _receive(self, message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] != "comm_msg" or content["comm_id"] != COMM_ID:
            return
        data, buffers = content["data"], [bytes(buffer) for buffer in message["buffers"]]
        self.messages.append(data)
        self.arrived_s.append(time.monotonic())
        self.sizes.append(sum(map(len, buffers)))
        if data["type"] == "snapshot":
            self._snapshot(data, buffers[0])
        elif data["type"] == "events":
            self._events(data, buffers[0])

    def _snapshot(self, data: dict[str, Any], part: bytes) -> None:
        in_sync = data["stream"] == self.stream and data["next"] <= (self.next or 0)
        if in_sync:
            return
        self._parts[data["part"]] = part
        if len(self._parts) < data["parts"]:
            return
        joined = b"".join(self._parts[number] for number in range(data["parts"]))
        self._parts.clear()
        self._fold = Fold()
        self._fold.feed_lines(zlib.decompress(joined))
        self.stream, self.next = data["stream"], data["next"]

    def _events(self, data: dict[str, Any], lines: bytes) -> None:
        if data["stream"] != self.stream or self._fold is None:
            return
        assert self.next is not None
        if data["from"] == self.next:
            self._fold.feed_lines(zlib.decompress(lines))
            self.next = data["next"]
        elif data["next"] > self.next:
            self.missed += 1

    # --- what it shows ---

    @property
    def session(self) -> Session | None:
        known = self._fold is not None and self._fold.header is not None
        return self._fold.session() if known and self._fold is not None else None

    def shows(self, cells: int, timeout_s: float = PATIENCE_S) -> Session:
        """The session, as soon as so many finished cells are in it."""

        def look() -> Session | None:
            session = self.session
            return session if session is not None and len(session.cells) >= cells else None

        return self.until(look, timeout_s)


@contextmanager
def looking(kernel: Kernel, **how: Any) -> Iterator[Panel]:
    """A panel that has greeted and looks."""
    panel = Panel(kernel, **how)
    try:
        panel.greet()
        panel.watch()
        yield panel
    finally:
        panel.close()
