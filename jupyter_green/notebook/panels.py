"""Everybody who looks at this kernel's session: the sidebar in each page, and widgets.

Messages arrive on the main thread between cells, or in the middle of a cell on a subshell's
thread; the recorder's come on a thread of their own. Nothing here touches what is the user's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from jupyter_green.errors import JupyterGreenError
from jupyter_green.notebook import answers, protocol
from jupyter_green.notebook.channels import Channel
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.recorder.wire import Told, Watch

MOST_CLIENTS = 50
"""Pages that were closed without a word are forgotten when so many others have come."""


@dataclass
class Client:
    """One panel in one page."""

    channel: Channel
    visible: bool = False
    refresh_s: float = 1.0


class Panels:
    """Joins the recorder's feed to the panels at the ends of some channels.

    Args:
        tracker: of the session that is shown.
        shell: whose configuration doctor examines.
        subshells: panels can ask while a cell runs.
        protect: called before each message is handled, on its thread.
    """

    def __init__(
        self,
        tracker: Tracker,
        shell: Any,
        *,
        subshells: bool,
        protect: Callable[[], None] = lambda: None,
    ) -> None:
        self._tracker = tracker
        self._shell = shell
        self._subshells = subshells
        self._protect = protect
        self._lock = threading.Lock()
        self._handling = threading.Lock()
        """Held while a message is handled, and never where the recorder's are passed on: who
        passes these on may hold the tracker's locks."""
        self._clients: dict[str, Client] = {}
        self._wrong: tuple[str, ...] = ()
        tracker.tell(self._told)

    def announce(self, channel: Channel) -> None:
        """Tell whoever listens that a session has begun."""
        channel.send(protocol.hello(self._tracker.id))

    def close(self) -> None:
        """Tell everybody that the session is over."""
        self._tracker.tell(None)
        with self._lock:
            channels = {id(client.channel): client.channel for client in self._clients.values()}
            self._clients.clear()
        for channel in channels.values():
            channel.send(protocol.goodbye())

    def forget(self, channel: Channel) -> None:
        """A channel was closed, and all that looked through it look no more."""
        with self._handling:
            with self._lock:
                kept = {n: one for n, one in self._clients.items() if one.channel is not channel}
                self._clients = kept
            self._watch()

    # --- from panels ---

    def receive(self, channel: Channel, data: Any) -> None:
        """A message of any shape; what cannot be used is answered with the reason."""
        self._protect()
        try:
            message = protocol.parse(data)
            with self._handling:
                self._handle(channel, message)
        except (protocol.NotUnderstood, JupyterGreenError) as error:
            channel.send(protocol.refused(data, str(error)))

    def _handle(self, channel: Channel, message: protocol.ToKernel) -> None:
        match message:
            case protocol.Greeting():
                self._greeted(channel, message)
            case protocol.Look():
                self._looked(channel, message)
            case protocol.Track(on=True):
                self._tracker.resume()
            case protocol.Track():
                self._tracker.pause()
            case protocol.Ask():
                self._asked(channel, message)

    def _greeted(self, channel: Channel, greeting: protocol.Greeting) -> None:
        channel.send(protocol.hello(self._tracker.id))
        if greeting.protocol == protocol.PROTOCOL:
            answers.prefer(self._tracker, greeting.preferences)

    def _looked(self, channel: Channel, look: protocol.Look) -> None:
        with self._lock:
            self._clients.pop(look.client, None)
            self._clients[look.client] = Client(channel, look.visible, look.refresh_s)
            while len(self._clients) > MOST_CLIENTS:
                del self._clients[next(iter(self._clients))]
        self._watch(look)
        if look.visible:
            channel.send(protocol.state(self._wrong))

    def _watch(self, look: protocol.Look | None = None) -> None:
        """Tell the recorder who looks now."""
        visible = {name: client for name, client in self._clients.items() if client.visible}
        watch = Watch(
            on=bool(visible),
            refresh_s=min((client.refresh_s for client in visible.values()), default=1.0),
            keyframes=not self._subshells,
        )
        if look is not None and look.visible:
            others = visible.keys() - {look.client}
            watch = structs.replace(watch, stream=look.stream, next=look.next, others=bool(others))
            self._tracker.watch(watch)
        else:
            self._tracker.watch(structs.replace(watch, fresh=False))

    def _asked(self, channel: Channel, ask: protocol.Ask) -> None:
        """Answer from a thread: an examination takes seconds, and the cells are the user's."""

        def work() -> None:
            try:
                answer = protocol.answer(ask, answers.answer(self._tracker, self._shell, ask))
            except JupyterGreenError as error:
                answer = protocol.refused(
                    {"request": ask.request, "client": ask.client}, str(error)
                )
            channel.send(answer)

        threading.Thread(target=work, name="jupyter_green answer", daemon=True).start()

    # --- from the recorder ---

    def _told(self, told: Told) -> None:
        buffers = (told.data,) if told.what != "asleep" else ()
        self._to_all(lambda channel: channel.send(protocol.told(told), buffers))
        wrong = self._tracker.wrong(told.problem)
        if wrong != self._wrong:
            self._wrong = wrong
            self._to_all(lambda channel: channel.send(protocol.state(wrong)))

    def _to_all(self, send: Callable[[Channel], None]) -> None:
        """Through each channel at whose end somebody looks, once."""
        with self._lock:
            channels = {id(c.channel): c.channel for c in self._clients.values() if c.visible}
        for channel in channels.values():
            send(channel)
