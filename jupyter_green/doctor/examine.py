"""Looks at this machine and gives back what it found."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from msgspec import structs

from jupyter_green.carbon.choice import starting_intensity
from jupyter_green.doctor import checks, housekeeping, remedies, watch
from jupyter_green.doctor.findings import Examination, SecondOpinion, Watched
from jupyter_green.doctor.gpus import GpuWatch, wait_for
from jupyter_green.doctor.second import compare, second_reader
from jupyter_green.doctor.surroundings import look_around
from jupyter_green.doctor.watch import Seen, Watch
from jupyter_green.errors import UnknownPlace
from jupyter_green.events import CounterInfo, Intensity, Machine, Pricing
from jupyter_green.recorder.host import describe_machine
from jupyter_green.sessions.bound import lag_bound_uj
from jupyter_green.settings import Settings
from jupyter_green.sources.counter import Detection, Problem
from jupyter_green.sources.detect import detect
from jupyter_green.units import UJ_PER_J, uj_to_j

WATCH_S = 2.0
CLOSE_S = 1.0
"""In which a GPU's counter moves ten times, and RAPL's a thousand times."""
PLACED_S = 0.001
"""So exactly a boundary is placed between two ticks of a slow counter, if its driver is quick."""


def examine(
    settings: Settings,
    *,
    problems: Sequence[str] = (),
    watch_s: float = WATCH_S,
    close_s: float = CLOSE_S,
    environ: Mapping[str, str] | None = None,
    root: str = "/",
) -> Examination:
    """What is measured here and what is not. Takes both watches, and under a second more.

    Args:
        settings: in force.
        problems: what could not be used of the settings (``load_settings().problems``).
        watch_s: seconds over which the power is measured.
        close_s: seconds in which counters are read densely, to see how often they move.
        environ: where a container shows itself; default: this process's environment.
        root: of the file system, where a container shows itself as well.
    """
    environ = os.environ if environ is None else environ
    here = look_around(settings, environ, root)
    started = housekeeping.try_recorder()
    detection = detect(settings, devices=True, environ=environ, root=root)
    seen, watched_gpus, opinion = _watch(settings, detection, watch_s, close_s)
    recorders = housekeeping.running_recorders(settings.data_dir)
    infos = {one.info.name: one.info for one in seen}
    gpus = tuple(one.told(recorders) for one in watched_gpus)
    calls_s = {gpu.counter: gpu.call_s for gpu in gpus if gpu.call_s is not None}
    power_w = {
        one.info.name: one.power_w
        for one in seen
        # A GPU counts only while a notebook uses it.
        if one.info.counted and one.power_w is not None and one.info.scope != "device"
    }
    intensity, place_problem = _place(settings)
    found = Examination(
        wall_s=round(time.time(), 3),
        machine=_machine(settings, here.container, here.hypervisor),
        container=here.container,
        hypervisor=here.hypervisor,
        watched_s=watch_s,
        counters=tuple(_watched(one, calls_s) for one in seen),
        power_w=sum(power_w.values()) if power_w else None,
        bound_j=_bound_j(infos, power_w, calls_s) if power_w else None,
        gpus=gpus,
        gpus_counted=settings.gpus,
        driver=next((one.driver for one in watched_gpus if one.driver), here.gpus.driver),
        refused=detection.refused,
        recipes=remedies.recipes(
            here, detection.counters, detection.refused, housekeeping.own_settings_file()
        ),
        second_opinion=opinion,
        recorders=recorders,
        journal=housekeeping.journal_place(settings.data_dir),
        intensity=intensity,
        pricing=Pricing(
            pue=settings.pue, price_per_kwh=settings.price_per_kwh, currency=settings.currency
        ),
        settings_files=housekeeping.settings_files(),
    )
    return structs.replace(
        found, checks=checks.checks(found, here, started, place_problem, problems)
    )


def _machine(settings: Settings, container: bool, hypervisor: bool) -> Machine:
    virtual = "container" if container else "vm" if hypervisor else ""
    return structs.replace(describe_machine(settings), virtual=virtual)


def _place(settings: Settings) -> tuple[Intensity | None, str]:
    """The intensity that a session would begin with, or why there is none."""
    try:
        return starting_intensity(settings), ""
    except UnknownPlace as error:
        return None, str(error)


# --- counters -----------------------------------------------------------------------------


def _watch(
    settings: Settings, detection: Detection, watch_s: float, close_s: float
) -> tuple[list[Seen], list[GpuWatch], SecondOpinion]:
    """Watch every counter, and the same seconds with pyRAPL; then close all sources."""
    second, opinion = second_reader(detection.sources, settings.sysfs_root)
    watches = [Watch(source) for source in detection.sources]
    beside = [Watch(second)] if second is not None else []
    gpus = [GpuWatch(device) for device in detection.devices]
    try:
        for one in gpus:
            one.start(watch_s, close_s)
        watch.from_afar([*watches, *beside], watch_s)
        watch.from_close_by(watches, close_s)
        wait_for(gpus)
    finally:
        detection.close()
        if second is not None:
            second.close()
    seen = [one for watched in (*watches, *gpus) for one in watched.seen.values()]
    for each in seen:
        each.judge()
    return seen, gpus, compare(seen, beside[0]) if beside else opinion


def _watched(seen: Seen, calls_s: Mapping[str, float]) -> Watched:
    info, power_w = seen.info, seen.power_w
    problem = seen.problem or Problem("")
    return Watched(
        counter=info,
        power_w=power_w,
        update_s=seen.update_s,
        every_reading=seen.every_reading,
        step_uj=seen.step_uj,
        bound_j=(
            None if power_w is None else _bound_j({info.name: info}, {info.name: power_w}, calls_s)
        ),
        problem=problem.reason,
        remedy=problem.remedy,
    )


def _bound_j(
    infos: Mapping[str, CounterInfo], power_w: Mapping[str, float], calls_s: Mapping[str, float]
) -> float:
    """The bound that a cell of one second at these watts would have, in joules.

    ``calls_s``: what one reading takes of those counters that are placed between their updates.
    """
    lag_uj = {
        name: round(max(infos[name].quantum_uj, watts * _lag_s(infos[name], calls_s) * UJ_PER_J))
        for name, watts in power_w.items()
    }
    errors = {name: (lag, lag) for name, lag in lag_uj.items()}
    band_uj = sum(infos[name].band * watts * UJ_PER_J for name, watts in power_w.items())
    return uj_to_j(lag_bound_uj(power_w, infos, (errors, errors)) + band_uj)


def _lag_s(info: CounterInfo, calls_s: Mapping[str, float]) -> float:
    """A boundary between two ticks of a slow counter is placed to a millisecond or so."""
    return max(PLACED_S, calls_s.get(info.name, 0.0)) if info.centred else info.resolution_s
