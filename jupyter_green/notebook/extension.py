"""Loads and unloads everything that belongs to one shell."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from jupyter_green.configurable import load_settings
from jupyter_green.notebook.channels import Channel, CommChannel
from jupyter_green.notebook.foreground import Foreground
from jupyter_green.notebook.hooks import Hooks
from jupyter_green.notebook.magics import GreenMagics
from jupyter_green.notebook.panels import Panels
from jupyter_green.recorder import tracker as trackers
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.sessions.model import Session

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


@dataclass(frozen=True)
class Loaded:
    """What belongs to one shell."""

    tracker: Tracker
    hooks: Hooks
    panels: Panels | None
    comm: CommChannel | None
    foreground: Foreground | None


_loaded: dict[int, Loaded] = {}
_widgets: WeakSet[Any] = WeakSet()
"""Channels of panels in outputs; these outlive a session, and show the next one."""


def load(shell: InteractiveShell) -> None:
    """Begin a session (or join the one that ``measure`` began) and track every cell."""
    if id(shell) in _loaded:
        return
    loaded = load_settings(shell)
    front_end = "ipykernel" if hasattr(shell, "kernel") else "ipython"
    tracker = trackers.start(front_end, loaded.settings, loaded.problems)
    hooks = Hooks(shell, tracker)
    hooks.register()
    shell.register_magics(GreenMagics(shell, tracker, hooks))
    _loaded[id(shell)] = Loaded(tracker, hooks, *_panels(shell, tracker))


def _panels(
    shell: Any, tracker: Tracker
) -> tuple[Panels, CommChannel, Foreground] | tuple[None, None, None]:
    """The way to those who look at the session, where the shell has a kernel."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None or not hasattr(kernel, "comm_manager"):
        return None, None, None
    subshells = bool(getattr(kernel, "_supports_kernel_subshells", False))
    foreground = Foreground(shell)
    foreground.register()
    panels = Panels(tracker, shell, subshells=subshells, protect=foreground.protect)
    comm = CommChannel(kernel, panels.receive)
    comm.open()
    for channel in (comm, *_widgets):
        panels.announce(channel)
    return panels, comm, foreground


def join(channel: Channel) -> None:
    """Tell this channel, too, of the sessions that begin."""
    _widgets.add(channel)


def leave(channel: Channel) -> None:
    """Nobody looks through this channel any more."""
    _widgets.discard(channel)
    for loaded in _loaded.values():
        if loaded.panels is not None:
            loaded.panels.forget(channel)


def panels_of(shell: Any) -> Panels | None:
    """Those of a shell in which the extension is loaded; None in a terminal."""
    loaded = _loaded.get(id(shell))
    return loaded.panels if loaded is not None else None


def session_of(shell: Any) -> Session | None:
    """The session of a shell up to now, as far as it can be told at once.

    Raises:
        RecorderError: the recorder does not answer.
    """
    loaded = _loaded.get(id(shell))
    return loaded.tracker.glimpse()[0] if loaded is not None else None


def unload(shell: InteractiveShell) -> None:
    """End the session and leave the shell as it was."""
    loaded = _loaded.pop(id(shell), None)
    if loaded is None:
        return
    loaded.hooks.unregister()
    _stop_logging()
    if loaded.foreground is not None:
        loaded.foreground.unregister()
    for kind, name in (
        ("cell", "energy"),
        ("line", "energy"),
        ("cell", "energyit"),
        ("line", "energyit"),
        ("line", "green"),
    ):
        shell.magics_manager.magics[kind].pop(name, None)
    shell.magics_manager.registry.pop(GreenMagics.__name__, None)
    trackers.stop()
    # Last, so that panels have heard the end of the session before they are told of it.
    if loaded.panels is not None and loaded.comm is not None:
        loaded.panels.close()
        loaded.comm.close()


def _stop_logging() -> None:
    """What frameworks report by themselves would begin another session."""
    integrations = sys.modules.get("jupyter_green.integrations")
    if integrations is not None:
        integrations.autolog(off=True)
