"""A paragraph to cite for several sessions, in Markdown and LaTeX.

As of one session (:mod:`jupyter_green.report.statement`), all runs of all sessions are counted,
failed ones included, as the Software Carbon Intensity for AI asks for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from jupyter_green.carbon.tables import ATTRIBUTION
from jupyter_green.events import CounterInfo, Intensity
from jupyter_green.report import statement
from jupyter_green.report.inert import latex, markdown, short
from jupyter_green.report.merged.values import Member, Merged, Worth
from jupyter_green.report.statement import MOST, SENTENCE, listed
from jupyter_green.report.words import energy_words, share_words
from jupyter_green.units import (
    format_co2,
    format_duration,
    format_kwh,
    format_share,
)


def render(merged: Merged) -> str:
    """The paragraph as Markdown."""
    return " ".join(map(markdown, sentences(merged)))


def render_latex(merged: Merged) -> str:
    """The paragraph as LaTeX. It needs no package."""
    return "\n".join(map(latex, sentences(merged)))


def sentences(merged: Merged) -> list[str]:
    """The paragraph as plain text, sentence by sentence."""
    return [
        *_occasion(merged),
        *_energy(merged),
        *_ledger(merged),
        *_method(merged),
        *_uncertainty(merged),
        *_carbon(merged),
        *_doubts(merged),
        *_hardware(merged),
    ]


# --- what was done ------------------------------------------------------------------------


def _occasion(merged: Merged) -> Iterable[str]:
    versions = listed(one.session.version for one in merged.members)
    begin, end = (time.strftime("%Y-%m-%d", time.localtime(one)) for one in merged.period)
    when = f"on {begin}" if begin == end else f"from {begin} to {end}"
    machines = len(merged.groups["machine"])
    whole = "a whole session" if len(merged.members) == 1 else f"{len(merged.members):,} sessions"
    where = "one machine" if machines == 1 else f"{machines:,} machines"
    yield (
        f"Energy was recorded with jupyter_green {versions} {when} over {whole} on {where}, "
        f"{format_duration(merged.totals.duration_s)} together: {_runs(merged)}."
    )
    still_open = sum(one.summary.state == "open" for one in merged.members)
    if still_open:
        yield f"{still_open:,} of the sessions {_were(still_open)} open when this was written."
    broken = sum(_broke_off(one) for one in merged.members)
    if broken:
        yield f"{broken:,} of the sessions did not end of themselves; what they cost counts."
    if merged.problems:
        count = len(merged.problems)
        journals = "1 journal" if count == 1 else f"{count:,} journals"
        yield f"Not in it: {journals} that could not be read."


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _broke_off(one: Member) -> bool:
    closed = one.summary.state == "closed" and one.summary.reason in (None, "goodbye")
    return one.summary.state != "open" and not closed


def _runs(merged: Merged) -> str:
    runs = sum(one.runs for one in merged.members)
    failed = sum(one.failed for one in merged.members)
    superseded = sum(one.superseded for one in merged.members)
    return (
        f"{runs:,} {'run' if runs == 1 else 'runs'} of cells, all of them counted, with "
        f"{failed:,} failed and {superseded:,} superseded ones included"
    )


def _energy(merged: Merged) -> Iterable[str]:
    union, summed = merged.totals.union, merged.totals.summed
    if union.total_uj is None:
        yield "No energy counter could be read, so that the energy is not known."
        return
    least = f" at least, because {listed(union.missing)} could not be read throughout"
    words = energy_words(union).removeprefix("≥ ")
    several = len(merged.groups["machine"]) > 1
    yield (
        f"The machine{'s' * several} used {words} ({format_kwh(union.total_uj)}) of electricity"
        f"{least if union.at_least else ''}."
    )
    yield "The figure is that of whole machines, idle power and time between cells included."
    if merged.overlaps:
        yield (
            "Where sessions ran at the same time on one machine every joule counts once (the sum "
            f"of the sessions would be {energy_words(summed)})."
        )


def _ledger(merged: Merged) -> Iterable[str]:
    whole_uj = merged.ledger_sum_uj
    if not whole_uj:
        return
    parts = (f"{share_words(e.total_uj / whole_uj)} {e.name}" for e in merged.ledger if e.total_uj)
    of = "the sum of the sessions" if merged.overlaps else "it"
    yield f"Of {of}, {', '.join(parts)}."


# --- how it is known ----------------------------------------------------------------------


def _used(merged: Merged) -> list[tuple[str, CounterInfo]]:
    """The counters that are in the total, each once a machine."""
    known = {
        (one.session.host, info.name, info.source, info.provenance): info
        for one in merged.members
        for info in statement.counted(one.session)
        if one.session.total.total_uj is not None
    }
    return [(key[0], info) for key, info in known.items()]


def _method(merged: Merged) -> Iterable[str]:
    groups: dict[tuple[str, str, float], list[str]] = {}
    for _, info in _used(merged):
        key = (info.provenance, info.source, info.resolution_s)
        groups.setdefault(key, []).append(info.name)
    for (provenance, source, resolution_s), names in list(groups.items())[: 2 * MOST]:
        through = "" if source == provenance else f" through {short(source)}"
        every = format_duration(resolution_s)
        yield f"{listed(names)}: {short(provenance)}{through}, with an update every {every}."


def _uncertainty(merged: Merged) -> Iterable[str]:
    if merged.totals.union.total_uj is None:
        return
    yield (
        "The stated ± is the 95 % interval that follows from the counters' updates, with the band "
        "of models; a sensor's own error comes on top."
    )
    modelled = {
        (short(info.name), info.band, short(info.assumption, SENTENCE))
        for _, info in _used(merged)
        if info.provenance == "modelled"
    }
    for name, band, assumption in sorted(modelled)[:MOST]:
        within = f" within ± {format_share(band)}" if band else ""
        how = f" ({assumption})" if assumption else ""
        yield (
            f"{name} is modelled{within}{how}: such figures compare hours of machines, and do not "
            "show that one technique saves energy over another."
        )
    accuracies = dict.fromkeys(short(i.accuracy, SENTENCE) for _, i in _used(merged) if i.accuracy)
    for accuracy in list(accuracies)[:MOST]:
        yield f"Published error of the sensor: {accuracy}."


# --- carbon -------------------------------------------------------------------------------


def intensities(merged: Merged) -> list[Intensity]:
    """The intensities that were in force in any session, each once."""
    found = (each for one in merged.members for each in statement.intensities(one.session.periods))
    return list(dict.fromkeys(found))


def _carbon(merged: Merged) -> Iterable[str]:
    if merged.totals.union.total_uj is None:
        return
    if not merged.carbon:
        yield "No carbon figure is given, because no place was set for all of any session."
        return
    for worth in merged.carbon:
        yield _grams(merged, worth)
    if len(merged.carbon) > 1:
        yield "Carbon figures of different bases are not added up."
    without = len(merged.members) - sum(worth.sessions for worth in merged.carbon)
    if without:
        yield (
            f"{without:,} of the {len(merged.members):,} sessions {_have(without)} no carbon "
            "figure, because no place was set for all of it on one basis, or no energy is known."
        )
    if any("Our World in Data" in one.source for one in intensities(merged)):
        yield ATTRIBUTION


def _grams(merged: Merged, worth: Worth) -> str:
    members = [one for one in merged.members if one.summary.co2_basis == worth.unit]
    least = "at least " if worth.at_least else ""
    every = worth.sessions == len(merged.members)
    what = "This" if every else f"The energy of {worth.sessions:,} of the sessions"
    basis = f" on the {short(worth.unit)} basis" if len(merged.carbon) > 1 else ""
    counted = " in the sum of the sessions" if worth.union is None else ""
    grams = f"{least}{format_co2(worth.value)} CO₂e{basis}{counted}"
    periods = (period for one in members for period in one.session.periods)
    return f"{what} is {grams}: {statement.conditions(periods)}."


# --- doubts and hardware ------------------------------------------------------------------


def _doubts(merged: Merged) -> Iterable[str]:
    holes = [hole for one in merged.members for hole in one.session.holes]
    lost = [hole.counter for hole in holes if hole.lost]
    if lost:
        yield f"{listed(lost)} could not be read for a part of the time; its energy is missing."
    unowned = [hole.counter for hole in holes if not hole.lost]
    if unowned:
        yield f"{listed(unowned)} had gaps whose energy counts, but belongs to no cell."
    others = merged.strangers
    if others:
        count = "1 other session" if len(others) == 1 else f"{len(others):,} other sessions"
        yield f"{count} used the same machines meanwhile, and that energy is in the figure, too."
    lines = sum(one.session.bad_lines for one in merged.members)
    if lines:
        yield f"Of the journals, {lines:,} damaged lines could not be read."


def _hardware(merged: Merged) -> Iterable[str]:
    words = (statement.hardware(one.session) for one in merged.members)
    known = list(dict.fromkeys(filter(None, words)))
    if known:
        rest = f" and {len(known) - MOST} more" if len(known) > MOST else ""
        yield f"Hardware: {'; '.join(known[:MOST])}{rest}."
