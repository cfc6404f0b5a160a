"""Deferred imports of heavy or optional packages, with errors that name the pip line."""

from __future__ import annotations

import importlib
from types import ModuleType

from jupyter_green.errors import MissingPackage


def require(module: str, pip_name: str | None = None) -> ModuleType:
    """Import ``module`` on use.

    Raises:
        MissingPackage: the package is absent; the message holds the line that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        line = f"pip install {pip_name or module.partition('.')[0]}"
        raise MissingPackage(f"the package {module!r} is not installed here: {line}") from error
