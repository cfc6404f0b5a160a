"""Asks the provider of carbon intensities, on a thread of its own beside the measuring."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from jupyter_green.events import IntensityChanged
from jupyter_green.settings import Settings

if TYPE_CHECKING:
    from jupyter_green.carbon.live import Live


class IntensityThread:
    """Hands on what changes. Nobody ever waits for it, also not at the end."""

    def __init__(self, live: Live, put: Callable[[IntensityChanged], None]) -> None:
        self._live = live
        self._put = put
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="carbon intensity", daemon=True)

    def start(self) -> None:
        """Begin to ask; once is enough."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Ask nobody any more."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """What comes from it does not count any more."""
        return self._stopped.is_set()

    def _run(self) -> None:
        while not self.stopped:
            changed = self._live.ask()
            if changed is not None:
                self._put(changed)
            self._stopped.wait(self._live.wait_s)


def follow(settings: Settings, put: Callable[[IntensityChanged], None]) -> IntensityThread | None:
    """The thread that the settings ask for, not started; None: nobody is to be asked."""
    if not settings.intensity_provider:
        return None
    from jupyter_green.carbon.live import live  # noqa: PLC0415  (few recorders need it)

    return IntensityThread(live(settings), put)
