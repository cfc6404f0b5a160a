"""Ways from a kernel to its panels: the comm that JupyterLab listens to; widgets are others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from jupyter_green.notebook.protocol import COMM_ID, TARGET

Receive = Callable[["Channel", Any], None]
"""Takes what came through a channel: data of any shape."""


class Channel(Protocol):
    """Carries messages to the panels at its other end; from any thread."""

    def send(self, data: dict[str, Any], buffers: Sequence[bytes] = ()) -> None: ...


class CommChannel:
    """A comm with an id that is known beforehand.

    It is registered silently: a ``comm_open`` would be answered with a close by every client
    that has no such target (a console), and a page that is reloaded would not hear it anyhow.
    It is no object of the ``comm`` package, because that one fires IPython's ``pre_execute`` and
    ``post_execute`` at each message: in the middle of a cell, matplotlib would show and close the
    figures that the cell is still drawing.
    """

    comm_id = COMM_ID
    target_name = TARGET

    def __init__(self, kernel: Any, receive: Receive) -> None:
        self._kernel = kernel
        self._receive = receive

    def open(self) -> None:
        """From here on messages arrive."""
        self._manager().register_comm(self)

    def close(self) -> None:
        """Receive no more."""
        comms = self._manager().comms
        if comms.get(COMM_ID) is self:
            del comms[COMM_ID]

    def _manager(self) -> Any:
        return self._kernel.comm_manager

    def send(self, data: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """To every page that is connected to this kernel."""
        kernel = self._kernel
        kernel.session.send(
            kernel.iopub_socket,
            "comm_msg",
            {"comm_id": COMM_ID, "data": data},
            ident=f"comm-{COMM_ID}".encode(),
            buffers=list(buffers),
        )

    # --- called by the comm manager ---

    def handle_msg(self, message: Any) -> None:
        """A message of a panel."""
        self._receive(self, message.get("content", {}).get("data"))

    def handle_close(self, message: Any) -> None:
        """Some client knows no such comm; others do."""
        del message
        self.open()
