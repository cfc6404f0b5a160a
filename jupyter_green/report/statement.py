"""A paragraph to put into a paper: what was spent, how it is known, and how well.

All runs are counted, failed and superseded ones included, as the Software Carbon Intensity for
AI asks for. What is a lower bound or modelled is called so. The sentences are made once, as plain
text, and each form escapes them whole.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable

from jupyter_green import __version__
from jupyter_green.carbon.tables import ATTRIBUTION
from jupyter_green.events import CounterInfo, Intensity
from jupyter_green.report.inert import TIMES, latex, markdown, short
from jupyter_green.report.words import energy_words, intensity_words, plural, share_words
from jupyter_green.sessions.model import Period, Session
from jupyter_green.units import (
    format_co2,
    format_duration,
    format_kwh,
    format_number,
    format_share,
)

MOST = 4
"""Names of one kind that a sentence lists."""
SENTENCE = 500
"""Characters of a reason or an assumption: these are ours, and a paper quotes them whole."""


def render(session: Session) -> str:
    """The paragraph as Markdown."""
    return " ".join(map(markdown, sentences(session)))


def render_latex(session: Session) -> str:
    """The paragraph as LaTeX. It needs no package.

    Names that are not in Latin script need LuaLaTeX or XeLaTeX and a font that has them.
    """
    return "\n".join(map(latex, sentences(session)))


def sentences(session: Session) -> list[str]:
    """The paragraph as plain text, sentence by sentence."""
    return [
        *_occasion(session),
        *_energy(session),
        *_ledger(session),
        *_method(session),
        *_uncertainty(session),
        *_carbon(session),
        *_doubts(session),
        *_hardware(session),
    ]


def listed(names: Iterable[str], most: int = MOST) -> str:
    """``a, b, c and 5 more``: names in a sentence, each short and clean."""
    known = [short(name) for name in dict.fromkeys(names)]
    rest = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + rest


# --- what was done ------------------------------------------------------------------------


def _occasion(session: Session) -> Iterable[str]:
    day = time.strftime("%Y-%m-%d", time.localtime(session.started_wall_s))
    yield (
        f"Energy was recorded with jupyter_green {short(session.version)} on {day} over a whole "
        f"session of {format_duration(session.duration_s)}: {_runs(session)}."
    )
    if session.state == "open":
        yield "The session was still open when this was written."
    elif session.state != "closed" or session.reason not in (None, "goodbye"):
        why = short(session.reason or session.state)
        yield f"The session did not end of itself ({why}); what it cost until then counts."


def _runs(session: Session) -> str:
    if session.is_script:
        failed = sum(window.status != "ok" for window in session.windows)
        told = f"{plural(len(session.windows), 'measured window')} of a program without cells"
        return f"{told}, with {failed} failed ones included" if session.windows else told
    categories = Counter(session.ledger.category_of.values())
    runs = len(session.cells)
    told = f"{runs} {'run' if runs == 1 else 'runs'} of cells"
    return (
        f"{told}, all of them counted, with {categories['failed']} failed and "
        f"{categories['superseded']} superseded ones included"
    )


def _energy(session: Session) -> Iterable[str]:
    total = session.total
    if total.total_uj is None:
        yield "No energy counter could be read, so that the energy is not known."
        return
    least = f" at least, because {listed(total.missing)} could not be read throughout"
    words = energy_words(total).removeprefix("≥ ")
    yield (
        f"The machine used {words} ({format_kwh(total.total_uj)}) of electricity"
        f"{least if total.at_least else ''}."
    )
    besides = "idle power" if session.is_script else "idle power and time between cells"
    yield f"The figure is that of the whole machine, {besides} included."


def _ledger(session: Session) -> Iterable[str]:
    shares = {name: session.share(entry) for name, entry in session.ledger.entries.items()}
    told = [f"{share_words(share)} {name}" for name, share in shares.items() if share]
    if told and not session.is_script:
        yield f"Of it, {', '.join(told)}."


# --- how it is known ----------------------------------------------------------------------


def _method(session: Session) -> Iterable[str]:
    groups: defaultdict[tuple[str, str, float], list[str]] = defaultdict(list)
    for info in counted(session) if session.total.total_uj is not None else ():
        groups[info.provenance, info.source, info.resolution_s].append(info.name)
    for (provenance, source, resolution_s), names in groups.items():
        through = "" if source == provenance else f" through {short(source)}"
        # A model is asked when a cell ends: it has no updates to wait for.
        every = f", with an update every {format_duration(resolution_s)}"
        updates = "" if provenance == "modelled" else every
        yield f"{listed(names)}: {short(provenance)}{through}{updates}."
    refused = [one for one in session.refused if not one.by_choice]
    told = [f"{one.source} {one.counter or ''} ({short(one.reason, SENTENCE)})" for one in refused]
    if told:
        yield f"Not read: {listed(told)}."


def counted(session: Session) -> list[CounterInfo]:
    """The counters that are in the total; devices that were never used are not."""
    return [
        info
        for name, info in session.counters.items()
        if info.counted and (info.scope != "device" or session.total.uj.get(name))
    ]


def _uncertainty(session: Session) -> Iterable[str]:
    total = session.total
    if total.total_uj is None:
        return
    yield (
        "The stated ± is the 95 % interval that follows from the counters' updates, with the band "
        "of models; a sensor's own error comes on top."
    )
    modelled = [info for info in counted(session) if info.provenance == "modelled"]
    for info in modelled[:MOST]:
        band = f" within ± {format_share(info.band)}" if info.band else ""
        how = f" ({short(info.assumption, SENTENCE)})" if info.assumption else ""
        yield (
            f"{short(info.name)} is modelled{band}{how}: such figures compare hours of machines, "
            "and do not show that one technique saves energy over another."
        )
    accuracies = dict.fromkeys(
        short(info.accuracy, SENTENCE) for info in counted(session) if info.accuracy
    )
    for accuracy in list(accuracies)[:MOST]:
        yield f"Published error of the sensor: {accuracy}."


# --- carbon -------------------------------------------------------------------------------


def _carbon(session: Session) -> Iterable[str]:
    grams = session.co2_g(session.total)
    if session.total.total_uj is None:
        return
    if grams is None:
        yield "No carbon figure is given, because no place was set for all of it on one basis."
        return
    least = "at least " if session.total.at_least else ""
    yield f"This is {least}{format_co2(grams)} CO₂e: {conditions(session.periods)}."
    if any("Our World in Data" in one.source for one in intensities(session.periods)):
        yield ATTRIBUTION


def conditions(periods: Iterable[Period]) -> str:
    """Everything that the grams depend on, in words."""
    periods = list(periods)
    pues = sorted({period.pricing.pue for period in periods})
    pue = " to ".join(format_number(one) for one in dict.fromkeys((pues[0], pues[-1])))
    known = intensities(periods)
    told = [_intensity(one) for one in known[:MOST]]
    rest = f" and {len(known) - MOST} more" if len(known) > MOST else ""
    return f"energy {TIMES} PUE {pue} {TIMES} carbon intensity ({'; '.join(told)}{rest})"


def _intensity(one: Intensity) -> str:
    source = f", {short(one.source)}" if one.source else ""
    place = short(intensity_words(one))
    return f"{place}, {format_number(one.g_per_kwh)} g/kWh, {short(one.basis)}{source}"


def intensities(periods: Iterable[Period]) -> list[Intensity]:
    """The intensities that were in force, each once."""
    return list(dict.fromkeys(p.intensity for p in periods if p.intensity is not None))


# --- doubts -------------------------------------------------------------------------------


def _doubts(session: Session) -> Iterable[str]:
    lost = [hole.counter for hole in session.holes if hole.lost]
    if lost:
        yield f"{listed(lost)} could not be read for a part of the time; its energy is missing."
    unowned = [hole.counter for hole in session.holes if not hole.lost]
    if unowned:
        yield f"{listed(unowned)} had gaps whose energy counts, but belongs to no cell or window."
    if session.overlaps:
        count = len({overlap.session for overlap in session.overlaps})
        others = "1 other session" if count == 1 else f"{count} other sessions"
        yield f"{others} used the same machine meanwhile, and that energy is in the figure, too."
    if session.gaps:
        seconds = sum(gap.until_s - gap.since_s for gap in session.gaps)
        yield f"No samples were taken for {format_duration(seconds)} of it."
    if session.bad_lines:
        yield f"Of the journal, {session.bad_lines} damaged lines could not be read."


# --- hardware -----------------------------------------------------------------------------


def _hardware(session: Session) -> Iterable[str]:
    words = hardware(session)
    if words:
        yield f"Hardware: {words}."


def hardware(session: Session) -> str:
    """``Intel Xeon (16 cores), 128 GiB of memory, 2 NVIDIA cards``, as far as it is known."""
    machine = session.machine
    cores = f" ({machine.cores} logical cores)" if machine.cores else ""
    parts = [f"{short(machine.cpu)}{cores}" if machine.cpu else cores.strip(" ()")]
    if machine.memory_bytes:
        parts.append(f"{format_number(machine.memory_bytes / 2**30)} GiB of memory")
    parts += [f"{count} {TIMES} {name}" for name, count in gpus(session).items()]
    parts.append(short(machine.virtual))
    return ", ".join(filter(None, parts))


def gpus(session: Session) -> Counter[str]:
    """How many GPUs of each name are in the total."""
    used = (info for info in counted(session) if info.domain == "gpu")
    return Counter(short(info.device or info.name) for info in used)


def generator() -> str:
    """Who wrote an export; the session itself may be older."""
    return f"jupyter_green {__version__}"
