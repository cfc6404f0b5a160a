"""What should be in order with GPUs, one sentence each, with the remedy where it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from jupyter_green.doctor.findings import NOTE, OK, Check, Examination, Gpu, Watched
from jupyter_green.doctor.surroundings import Surroundings
from jupyter_green.events import Refusal
from jupyter_green.recorder.watching import SLOW_NS
from jupyter_green.sources import nvml
from jupyter_green.units import format_duration, format_power, format_share

ABOUT = "NVIDIA"
AGREE = 0.1
"""A counter and the power readings of one card should differ by less."""
SLOW_S = SLOW_NS / 1e9
"""A reading that takes longer spoils what is known of the moment it speaks of."""
_COUNTED = {
    "used": "each counts in a session while processes of its kernel have a context on it",
    "visible": "each that CUDA_VISIBLE_DEVICES shows counts in a session (JupyterGreen.gpus is "
    "visible)",
}
_INTO_CONTAINER = (
    "start the container with a GPU: docker run --gpus all (with the nvidia-container-toolkit on "
    "the host), or in Kubernetes a limit of nvidia.com/gpu with NVIDIA's device plugin "
    "(KubeSpawner.extra_resource_limits on a hub)"
)
_LIBRARY = (
    "the driver's library libnvidia-ml.so.1 must be found; in a container it comes with "
    "NVIDIA_DRIVER_CAPABILITIES=utility (compute,utility for CUDA as well)"
)
_HOST_NUMBERS = "docker run --pid=host, or hostPID in Kubernetes, if the node is yours alone"


def checks(found: Examination, here: Surroundings) -> Iterator[Check]:
    """Of the driver, and of each GPU that is read."""
    refusal = next((r for r in found.refused if r.source == nvml.NAME), None)
    if found.gpus:
        yield _driver(found, refusal)
        for gpu in found.gpus:
            yield from _gpu(gpu, found)
    elif found.gpus_counted == "none":
        yield _ok("not looked for: JupyterGreen.gpus is none")
    else:
        yield _none(found, here, None if refusal is None or refusal.by_choice else refusal)


# --- none is read -------------------------------------------------------------------------


def _none(found: Examination, here: Surroundings, refusal: Refusal | None) -> Check:
    gpus = here.gpus
    why = f": {refusal.reason}" if refusal else ""
    if gpus.devices:
        count = _count(len(gpus.devices))
        text = f"{count} ({_version(gpus.driver)}), of which no energy is read{why}"
        return _note(text, _remedy_of(refusal, _LIBRARY))
    if gpus.driver:
        text = f"{_version(gpus.driver)} is loaded, and this process sees no GPU{why}"
        return _note(text, _INTO_CONTAINER if found.container else _remedy_of(refusal))
    if gpus.on_bus:
        text = f"{_count(gpus.on_bus)} on the PCI bus, and no NVIDIA driver{why}"
        remedy = "install NVIDIA's driver with the system's packages; then `nvidia-smi` shows them"
        return _note(text, _INTO_CONTAINER if found.container else _remedy_of(refusal, remedy))
    if refusal:
        return _note(f"no GPU is read{why}", _remedy_of(refusal))
    return _ok("no GPU of NVIDIA here: none on the PCI bus, no driver, no device file")


def _count(gpus: int) -> str:
    return f"{gpus} GPU{'s' * (gpus > 1)}"


def _version(driver: str) -> str:
    return f"driver {driver}" if driver else "driver of unknown version"


def _remedy_of(refusal: Refusal | None, otherwise: str = "") -> str:
    return (refusal.remedy if refusal else "") or otherwise


# --- those that are read ------------------------------------------------------------------


def _driver(found: Examination, refusal: Refusal | None) -> Check:
    modules = {w.name for w in found.counters if w.counter.domain == "module"}
    names = Counter(gpu.name for gpu in found.gpus if gpu.counter not in modules)
    listed = ", ".join(f"{count} x {name}" for name, count in names.items())
    text = f"{_version(found.driver)}; {listed}"
    if refusal is not None:
        text += f"; and not all can be read: {refusal.reason}"
        return _note(text, refusal.remedy)
    return _ok(f"{text}; {_COUNTED.get(found.gpus_counted, _COUNTED['used'])}")


def _gpu(gpu: Gpu, found: Examination) -> Iterator[Check]:
    about, watched = gpu.counter, next(w for w in found.counters if w.name == gpu.counter)
    if watched.counter.domain == "module":
        text = (
            "the whole module on which the GPU sits, with its CPU and memory; it holds the GPU's "
            "energy and the processor's, so it is shown and never added"
        )
        yield _ok(text, about)
        return
    if watched.power_w is None:
        return  # what is wrong with it is told with the counters
    yield _use(gpu, found.container)
    if gpu.instances:
        text = (
            f"divided by MIG into {gpu.instances} instance{'s' * (gpu.instances > 1)}: energy "
            "exists for the whole card alone, and a session on one of them shows that of all"
        )
        yield _note(text, about=about)
    if gpu.call_s is not None and gpu.call_s > SLOW_S:
        yield _slow(about, gpu.call_s)
    elif watched.counter.provenance == "integrated":
        yield _powered(gpu, watched)
    else:
        yield _agreement(gpu, watched.power_w)


def _use(gpu: Gpu, container: bool) -> Check:
    about = gpu.counter
    if gpu.others is None:
        text = (
            f"who uses it is not known: {gpu.hidden}. It counts as used while it is occupied "
            "and CUDA_VISIBLE_DEVICES shows it"
        )
        return _note(text, _HOST_NUMBERS if container else "", about)
    others = f"{gpu.others} other process{'es' * (gpu.others != 1)}"
    if not gpu.used_by:
        text = f"used by {others}, and by no recorded notebook of yours"
        return _ok(text if gpu.others else "nobody uses it now", about)
    mine = ", ".join(gpu.used_by)
    if gpu.others:
        text = f"used by {mine} and by {others}, whose energy is in its figures"
        return _note(text, about=about)
    return _ok(f"used by {mine} alone", about)


def _powered(gpu: Gpu, watched: Watched) -> Check:
    text = (
        "it has no energy counter (those came with Volta): its power readings are added up, each "
        f"the mean of about {format_duration(watched.counter.resolution_s)}; peaks between two "
        f"of them are missed{_cost(gpu)}"
    )
    return _note(text, about=gpu.counter)


def _agreement(gpu: Gpu, counter_w: float) -> Check:
    """How the counter agrees with its own card's power readings, and what one look costs."""
    cost = _cost(gpu)
    if gpu.difference is None or gpu.readings_w is None:
        text = f"counter and power readings are not compared: {gpu.not_compared}{cost}"
        return _ok(text, gpu.counter)
    text = (
        f"{format_power(counter_w)} by its counter, {format_power(gpu.readings_w)} by the mean "
        f"of {gpu.readings} power readings ({_signed(gpu.difference)})"
    )
    if abs(gpu.difference) <= AGREE:
        return _ok(f"{text}{cost}", gpu.counter)
    remedy = (
        "power readings see a part of the time only, and a load that changes quickly can mislead "
        "them: look again while it is steady, and if it stays, trust neither to better than that"
    )
    return _note(f"{text}, more than {format_share(AGREE)} apart{cost}", remedy, gpu.counter)


def _signed(share: float) -> str:
    return f"{share:+.1%}".replace("-0.0", "+0.0").replace("%", " %")


def _cost(gpu: Gpu) -> str:
    return "" if gpu.call_s is None else f"; one reading takes {format_duration(gpu.call_s)}"


def _slow(about: str, call_s: float) -> Check:
    text = (
        f"the driver takes {format_duration(call_s)} to answer: where the card's energy belongs "
        "is known less exactly, and the bounds of cells are wider"
    )
    return _note(text, "sudo nvidia-smi -pm 1 (persistence mode) keeps an idle card awake", about)


def _ok(text: str, about: str = ABOUT) -> Check:
    return Check(about=about, verdict=OK, text=text)


def _note(text: str, remedy: str = "", about: str = ABOUT) -> Check:
    return Check(about=about, verdict=NOTE, text=text, remedy=remedy)
