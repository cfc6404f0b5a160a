"""Finds out what can be measured on this machine, and records why everything else is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from jupyter_green.events import Refusal
from jupyter_green.settings import CPU_SOURCES, Settings
from jupyter_green.sources import modelled, nvml, perf, pyrapl, rapl
from jupyter_green.sources.counter import Detection, Device, Source
from jupyter_green.sources.modelled import Modelled
from jupyter_green.sources.perf import Perf
from jupyter_green.sources.pyrapl import PyRapl
from jupyter_green.sources.rapl import Rapl

AUTO = "auto"

Found = tuple[Source | None, list[Refusal]]

# What measures, the best first, and whether it may be used without being named.
_MEASURING: tuple[tuple[str, bool, Callable[[Settings], Found]], ...] = (
    (rapl.NAME, True, lambda settings: Rapl.find(settings.sysfs_root)),
    (perf.NAME, True, lambda settings: Perf.find(settings.sysfs_root, settings.procfs_root)),
    (pyrapl.NAME, False, lambda settings: PyRapl.find(settings.sysfs_root)),
)


def detect(
    settings: Settings,
    *,
    devices: bool = False,
    environ: Mapping[str, str] | None = None,
    root: str = "/",
) -> Detection:
    """What ``cpu_source`` names, else the model. Unnamed: RAPL, else perf, else the model.

    ``devices`` asks for the GPUs as well, which takes the driver's library into this process: for
    the recorder and the doctor, never for a kernel. ``environ`` (default: this process's) and
    ``root`` (of the file system) are where a container shows itself.
    """
    sources, refused = _find_cpu(settings, environ, root)
    gpus, more = _find_gpus(settings) if devices else ([], [])
    return Detection(sources, (*refused, *more), tuple(gpus))


def _find_cpu(
    settings: Settings, environ: Mapping[str, str] | None, root: str
) -> tuple[tuple[Source, ...], list[Refusal]]:
    measured, refused = _measure(settings)
    if measured is not None:
        refused += list(_missing_dram(measured, refused))
        reason = f"measured by {measured.name}, no model needed"
        refused.append(Refusal(source=modelled.NAME, reason=reason, by_choice=True))
        return (measured,), refused
    model, more = Modelled.find(settings, environ=environ, root=root)
    return (model,) if model is not None else (), [*refused, *more]


def _find_gpus(settings: Settings) -> tuple[list[Device], list[Refusal]]:
    if settings.gpus == "none":
        return [], [Refusal(source=nvml.NAME, reason="gpus is none", by_choice=True)]
    return nvml.find()


def _measure(settings: Settings) -> Found:
    """The source that measures, and why each of the others does not."""
    wanted = settings.cpu_source
    source: Source | None = None
    refused: list[Refusal] = []
    if wanted not in CPU_SOURCES:
        reason = f"there is no such source; cpu_source is one of {', '.join(CPU_SOURCES)}"
        refused.append(Refusal(source=wanted, reason=reason))
    for name, unnamed, find in _MEASURING:
        if wanted == AUTO and not unnamed:
            reason = "used only where cpu_source names it"
            refused.append(Refusal(source=name, reason=reason, by_choice=True))
        elif wanted not in (AUTO, name):
            reason = f"cpu_source is {wanted}"
            refused.append(Refusal(source=name, reason=reason, by_choice=True))
        elif source is not None:
            reason = f"{source.name} reads the same counters already"
            refused.append(Refusal(source=name, reason=reason, by_choice=True))
        else:
            source, more = find(settings)
            refused += more
    return source, refused


def _missing_dram(source: Source, refused: Iterable[Refusal]) -> Iterator[Refusal]:
    """Packages without a DRAM counter: a fact about the processor, no hole in the total."""
    explained = {refusal.counter for refusal in refused if refusal.source == source.name}
    known = explained | {info.name for info in source.counters}
    for info in source.counters:
        dram = info.name.replace("package", "dram", 1)
        if info.domain == "package" and dram not in known:
            reason = "this processor has no DRAM counter; totals hold the package only"
            yield Refusal(source=source.name, counter=dram, reason=reason)
