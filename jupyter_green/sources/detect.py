"""Finds out what can be measured on this machine, and records why everything else is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jupyter_green.events import Refusal
from jupyter_green.settings import Settings
from jupyter_green.sources import modelled, rapl
from jupyter_green.sources.counter import Detection
from jupyter_green.sources.modelled import Modelled
from jupyter_green.sources.rapl import Rapl


def detect(
    settings: Settings, *, environ: Mapping[str, str] | None = None, root: str = "/"
) -> Detection:
    """RAPL where a package can be read, else the model.

    ``environ`` (default: this process's) and ``root`` (of the file system) are where a
    container shows itself.
    """
    measured, refused = Rapl.find(settings.sysfs_root)
    if measured is not None:
        refused += _missing_dram(measured)
        reason = "measured by rapl, no model needed"
        refused.append(Refusal(source=modelled.NAME, reason=reason))
        return Detection((measured,), tuple(refused))
    model, more = Modelled.find(settings, environ=environ, root=root)
    return Detection((model,) if model is not None else (), (*refused, *more))


def _missing_dram(source: Rapl) -> Iterator[Refusal]:
    """Packages without a DRAM counter: a fact about the processor, no hole in the total."""
    names = {info.name for info in source.counters}
    for info in source.counters:
        dram = info.name.replace("package", "dram", 1)
        if info.domain == "package" and dram not in names:
            reason = "this processor has no DRAM counter; totals hold the package only"
            yield Refusal(source=rapl.NAME, counter=dram, reason=reason)
