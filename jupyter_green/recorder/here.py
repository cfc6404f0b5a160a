"""The session of whoever calls: of this notebook's kernel, or of this script."""

from __future__ import annotations

import sys

from jupyter_green.recorder import tracker as trackers
from jupyter_green.recorder.tracker import Tracker


def tracker() -> Tracker:
    """The tracker of this process; a session begins if there is none."""
    return trackers.start(front_end())


def front_end() -> str:
    """What runs the user's code: ipykernel, ipython or script."""
    if "ipykernel" in sys.modules and "ipykernel.kernelapp" in sys.modules:
        return "ipykernel"
    ipython = sys.modules.get("IPython")
    return "ipython" if ipython is not None and ipython.get_ipython() is not None else "script"
