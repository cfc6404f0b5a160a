"""What users train with: metrics come by themselves, each beside the energy spent so far.

One module for each framework, with an ``EnergyCallback``; or :func:`autolog`, which needs none.
Nothing here imports a framework before it is used.
"""

from __future__ import annotations

import importlib
import sys
import threading
from dataclasses import dataclass
from types import ModuleType

from jupyter_green.errors import SettingError

__all__ = ["SUPPORTED", "Supported", "autolog"]


@dataclass(frozen=True)
class Supported:
    """A framework whose metrics can come by themselves."""

    module: str
    """Of ours; it has ``install()`` and ``uninstall()``."""
    packages: tuple[str, ...]
    """One of these is imported where the framework is in use."""
    by_name: bool = False
    """Only where the user names it: it writes into a tracker of his, which may be a server."""


def _ours(name: str, *packages: str, by_name: bool = False) -> Supported:
    return Supported(f"{__name__}.{name}", packages or (name,), by_name)


SUPPORTED: dict[str, Supported] = {
    "keras": _ours("keras"),
    "lightgbm": _ours("lightgbm"),
    "lightning": _ours("lightning", "lightning.pytorch", "pytorch_lightning"),
    "mlflow": _ours("mlflow", by_name=True),
    "sklearn": _ours("sklearn"),
    "tensorboard": _ours("tensorboard", "torch.utils.tensorboard", "tensorboardX", by_name=True),
    # Others import the package, and its trainer takes seconds to import.
    "transformers": _ours("transformers", "transformers.trainer"),
    "wandb": _ours("wandb", by_name=True),
    "xgboost": _ours("xgboost"),
}

_lock = threading.Lock()
_installed: dict[str, ModuleType] = {}


def autolog(*frameworks: str, off: bool = False) -> tuple[str, ...]:
    """Let the metrics of trainings come by themselves, without a change to the calls.

    ::

        autolog()                     # every supported framework that is imported by now
        autolog("keras", "sklearn")
        autolog("mlflow")             # trackers: only by their names
        autolog(off=True)

    From now on the frameworks' own ``fit``, ``train`` and ``evaluate`` have an ``EnergyCallback``,
    unless one is passed. Their results are the same; after ``off`` they are as they were. The
    metrics that a tracker is given are logged here, too, and it is given their energies.

    Args:
        frameworks: names of :data:`SUPPORTED`.
        off: no more of these, or of all.

    Returns:
        the names whose metrics come by themselves now.

    Raises:
        SettingError: a name is not supported; nothing is changed.
        MissingPackage: a framework is not installed; nothing is changed.
    """
    for name in frameworks:
        if name not in SUPPORTED:
            raise SettingError(
                f"autolog() knows no framework {name!r}; it knows {', '.join(sorted(SUPPORTED))}"
            )
    with _lock:
        if off:
            for name in frameworks or tuple(_installed):
                _uninstall(name)
        else:
            _install_all(frameworks or _imported())
        return tuple(sorted(_installed))


def _imported() -> tuple[str, ...]:
    return tuple(
        name
        for name, supported in SUPPORTED.items()
        if not supported.by_name and any(package in sys.modules for package in supported.packages)
    )


def _install_all(names: tuple[str, ...]) -> None:
    """All of them or, where one cannot be had, none."""
    added = []
    try:
        for name in names:
            if name not in _installed:
                module = importlib.import_module(SUPPORTED[name].module)
                module.install()
                _installed[name] = module
                added.append(name)
    except BaseException:
        for name in added:
            _uninstall(name)
        raise


def _uninstall(name: str) -> None:
    module = _installed.pop(name, None)
    if module is not None:
        module.uninstall()
