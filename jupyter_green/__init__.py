"""jupyter_green: the energy of every notebook cell, beside its accuracy.

In a notebook::

    %load_ext jupyter_green

From then on every cell is tracked silently; ``%%energy`` shows one, ``%green`` all. In Python,
with or without a notebook: :func:`log`, :func:`measure`, :func:`session`, :func:`save_report`;
``EnergyPanel()`` shows the live panel in a cell's output.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "EnergyPanel",
    "StopSearch",
    "__version__",
    "autolog",
    "compare",
    "compare_searches",
    "describe_model",
    "inference_of",
    "layers_of",
    "load_ipython_extension",
    "log",
    "main_effects",
    "measure",
    "measure_inference",
    "measure_layers",
    "measure_trials",
    "save_report",
    "searches_of",
    "session",
    "track",
    "unload_ipython_extension",
]

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_green.api import describe_model, log, measure, save_report, session
    from jupyter_green.integrations import autolog
    from jupyter_green.notebook.widget import EnergyPanel
    from jupyter_green.studies.compare import compare
    from jupyter_green.studies.factorial import main_effects
    from jupyter_green.studies.inference import inference_of, measure_inference
    from jupyter_green.studies.layers import layers_of, measure_layers
    from jupyter_green.studies.search import compare_searches, searches_of
    from jupyter_green.studies.search_stop import StopSearch
    from jupyter_green.studies.search_trials import measure_trials
    from jupyter_green.studies.track import track

# Loaded on use: the package is imported by the recorder, too, which needs none of this.
_MODULES = {
    "EnergyPanel": "notebook.widget",
    "StopSearch": "studies.search_stop",
    "autolog": "integrations",
    "compare": "studies.compare",
    "compare_searches": "studies.search",
    "describe_model": "api",
    "inference_of": "studies.inference",
    "layers_of": "studies.layers",
    "log": "api",
    "main_effects": "studies.factorial",
    "measure": "api",
    "measure_inference": "studies.inference",
    "measure_layers": "studies.layers",
    "measure_trials": "studies.search_trials",
    "save_report": "api",
    "searches_of": "studies.search",
    "session": "api",
    "track": "studies.track",
}


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """``%load_ext jupyter_green``: begin a session and track every cell."""
    from jupyter_green.notebook.extension import load  # noqa: PLC0415  (only in a notebook)

    load(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """``%unload_ext jupyter_green``: end the session and leave no trace."""
    from jupyter_green.notebook.extension import unload  # noqa: PLC0415

    unload(ipython)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """For ``jupyter labextension develop``; a wheel puts the extension in its place itself."""
    return [{"src": "labextension", "dest": "jupyter-green"}]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
