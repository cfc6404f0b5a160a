"""JupyterLab on a copy of the tour, with the energy panel open and tracking.

Its settings and workspaces are its own, so that one's own JupyterLab stays as it is, and autosave
does not touch the checkout.
"""

import json
import os
import shutil
import sys
import webbrowser
from pathlib import Path
from typing import Any

from environment import ROOT, run

SETTINGS = {
    "jupyter-green/plugin": {"autoStart": True, "openPanel": True},
    # JupyterLab asks at its first start whether it may; here it need not.
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


def has_a_browser() -> bool:
    """Whether a browser could open here, other than one in the terminal."""
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    if sys.platform not in ("darwin", "win32") and not any(map(os.environ.get, displays)):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def run_lab(venv: Path, arguments: list[str]) -> int:
    """JupyterLab until Ctrl-C."""
    place = venv / "tour"
    notebooks = fresh_notebook(place)
    write_settings(place / "settings")
    # What was open last time does not come back: the first screen is the same every time.
    shutil.rmtree(place / "workspaces", ignore_errors=True)
    options = [
        "--LabApp.default_url=/lab/tree/tour.ipynb",
        f"--LabApp.user_settings_dir={place / 'settings'}",
        f"--LabApp.workspaces_dir={place / 'workspaces'}",
        f"--ServerApp.root_dir={notebooks}",
        # Ctrl-C ends it without a question.
        "--ServerApp.answer_yes=True",
        "--log-level=WARN",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")
    try:
        return run(venv, ["jupyter", "lab", *options, *arguments], notebooks)
    except KeyboardInterrupt:
        return 0


def fresh_notebook(place: Path) -> Path:
    """The directory of a new copy; the one of the last time stays beside it as tour-last.ipynb."""
    notebooks = place / "notebooks"
    notebooks.mkdir(parents=True, exist_ok=True)
    copy = notebooks / "tour.ipynb"
    if copy.exists():
        copy.replace(notebooks / "tour-last.ipynb")
    copy.write_text(json.dumps(without_outputs(ROOT / "notebooks/tour.ipynb")), encoding="utf-8")
    return notebooks


def without_outputs(path: Path) -> Any:
    """The notebook as one that nobody has run: what it shows is to be one's own."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return notebook


def write_settings(directory: Path) -> None:
    """What is not there yet: what somebody set here themselves is kept."""
    for name, values in SETTINGS.items():
        file = directory / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text(json.dumps(values, indent=2), encoding="utf-8")
