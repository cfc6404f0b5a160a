"""The cell that runs keeps what is its own, whatever panels send to the kernel beside it.

ipykernel treats a message that a subshell handles in the middle of a cell as if the cell were over:

- It ends with the status "idle", which server and front end take for the whole kernel's. The
  server would cull a kernel in the middle of a long, silent cell as soon as a page had been closed.
- What the cell's own threads print from then on would belong to the message, and be lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """What the cell that runs was asked for with."""

    message: Any
    identity: Any


class Foreground:
    """Knows whether a cell runs, and sees to it that it does not lose its place.

    Args:
        shell: one that has a kernel.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._kernel = shell.kernel
        self._lock = threading.Lock()
        self._depth = 0
        """Cells may run cells."""
        self._request: Request | None = None
        self._thread = threading.get_ident()
        """Of the cells; subshells have others."""

    def register(self) -> None:
        """From now on it is known whether a cell runs."""
        self._shell.events.register("pre_run_cell", self._began)
        self._shell.events.register("post_run_cell", self._ended)

    def unregister(self) -> None:
        """Leave the shell as it was."""
        self._shell.events.unregister("pre_run_cell", self._began)
        self._shell.events.unregister("post_run_cell", self._ended)
        self._request = None

    def protect(self) -> None:
        """Call it first of all where a message is handled."""
        if threading.get_ident() != self._thread:
            # This thread goes on with the message; whatever else has no request gets the cell's.
            contextvars.copy_context().run(self._give_back)
            # The "idle" comes right after the message.
            with contextlib.suppress(RuntimeError):  # a thread that no subshell runs
                asyncio.get_running_loop().call_soon(self._say_busy)

    def _began(self, _: Any) -> None:
        if threading.get_ident() == self._thread:
            with self._lock:
                self._depth += 1
                self._request = Request(self._kernel.get_parent("shell"), self._identity())

    def _identity(self) -> Any:
        """Of the client, for input that is asked of it."""
        variable = getattr(self._kernel, "_shell_parent_ident", None)
        return variable.get([]) if isinstance(variable, contextvars.ContextVar) else []

    def _ended(self, _: Any) -> None:
        if threading.get_ident() == self._thread:
            with self._lock:
                # The cell that has loaded the extension ends without having begun.
                self._depth = max(0, self._depth - 1)
                self._request = self._request if self._depth else None

    def _give_back(self) -> None:
        with self._lock:
            if self._request is not None:
                self._kernel.set_parent(self._request.identity, self._request.message)

    def _say_busy(self) -> None:
        # Under the lock: after the cell's own "idle" it would not be true any more.
        with self._lock:
            if self._request is not None:
                self._kernel.session.send(
                    self._kernel.iopub_socket,
                    "status",
                    {"execution_state": "busy"},
                    parent=self._request.message,
                    ident=f"kernel.{self._kernel.ident}.status".encode(),
                )
