"""What should be in order, one sentence each, with the remedy where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jupyter_green.doctor import gpu_checks
from jupyter_green.doctor.findings import NOTE, OK, PROBLEM, Check, Examination, Watched
from jupyter_green.doctor.surroundings import Surroundings
from jupyter_green.units import format_duration, format_number, format_power, format_share

SLOWER = 3.0
"""A counter that moves so many times more seldom than it says has bounds that are too narrow."""
AGREE = 0.02
"""Two readers of one counter should differ by less."""
LEAST_FREE_BYTES = 100_000_000


def checks(
    found: Examination,
    here: Surroundings,
    started: tuple[str, float],
    place_problem: str,
    problems: Sequence[str],
) -> tuple[Check, ...]:
    """All checks, in the order in which they are shown.

    Args:
        started: why no recorder can be started, and the seconds that its start took.
        place_problem: why the place that is set cannot be used.
        problems: what could not be used of the settings.
    """
    return (
        *_counters(found),
        *_root_only(here),
        *gpu_checks.checks(found, here),
        _second_opinion(found),
        _recorder(started),
        _recorder_cost(found),
        *_journal(found),
        *_place(found, place_problem),
        *_settings(found, problems),
    )


# --- counters -----------------------------------------------------------------------------


def _counters(found: Examination) -> Iterator[Check]:
    if found.power_w is None:
        text = "nothing is measured: sessions hold times and metrics, and no energy"
        yield Check(about="counters", verdict=PROBLEM, text=text)
    elif not found.missing:
        provenance = {w.counter.provenance for w in found.counters if w.counter.counted}
        verdict = NOTE if "modelled" in provenance else OK
        text = (
            f"the total holds {format_power(found.power_w)} now, {' and '.join(sorted(provenance))}"
        )
        yield Check(about="counters", verdict=verdict, text=text)
    for watched in found.counters:
        yield from _counter(watched)


def _counter(watched: Watched) -> Iterator[Check]:
    info = watched.counter
    if watched.problem:
        verdict = PROBLEM if info.counted else NOTE
        lost = "; totals are lower bounds (at least ...)" if info.counted else ""
        text = f"{watched.problem}{lost}"
        yield Check(about=info.name, verdict=verdict, text=text, remedy=watched.remedy)
    update_s = watched.update_s or 0.0
    plain = info.counted and info.provenance == "measured" and not watched.every_reading
    if plain and update_s > SLOWER * info.resolution_s:
        text = (
            f"it moves every {format_duration(update_s)} and not, as stated, every "
            f"{format_duration(info.resolution_s)}: bounds of short cells are too narrow"
        )
        yield _note(info.name, text)


def _root_only(here: Surroundings) -> Iterator[Check]:
    if here.zones.root_only and not here.zones.closed:
        text = (
            "the RAPL counters are open to root alone (mode 0400), and this is root: other users "
            "of this machine have a model in their place"
        )
        remedy = "run `jupyter green doctor` as one of them; it says how to open the counters"
        yield Check(about="rapl", verdict=NOTE, text=text, remedy=remedy)


def _second_opinion(found: Examination) -> Check:
    opinion = found.second_opinion
    if opinion.missing:
        remedy = opinion.remedy
        return Check(
            about="pyRAPL", verdict=OK, text=f"no second opinion: {opinion.missing}", remedy=remedy
        )
    differences = ", ".join(
        f"{one.counter} {one.difference:+.2%}".replace("%", " %") for one in opinion.compared
    )
    text = f"over the same {format_duration(opinion.duration_s)} pyRAPL reads {differences}"
    if any(abs(one.difference) > AGREE for one in opinion.compared):
        text += f", more than {format_share(AGREE)} from what is read here"
        return _note(
            "pyRAPL", text, "run the doctor again on a quiet machine; report it if it stays"
        )
    return _ok("pyRAPL", text)


# --- our own house ------------------------------------------------------------------------


def _recorder(started: tuple[str, float]) -> Check:
    problem, took_s = started
    if not problem:
        return _ok("recorder", f"its process starts (and ends) in {format_duration(took_s)}")
    text = (
        f"{problem}. Cells still get a reading at both ends; lost are the samples between, the "
        "live power, and the energy of a cell whose kernel dies"
    )
    return Check(
        about="recorder", verdict=PROBLEM, text=text, remedy="allow Python to start a child process"
    )


def _recorder_cost(found: Examination) -> Check:
    # A trial recorder would show the CPU time of its start, or of a few ticks of 10 ms, and
    # nothing of what it costs to run: only those that run can tell.
    if not found.recorders:
        text = "none runs, so its cost is not shown; `%green doctor` in a notebook shows it"
        return _ok("its cost", text)
    texts = (
        f"{format_number(one.cpu_s_per_min)} CPU seconds a minute and "
        f"{one.memory_bytes / 2**20:.0f} MiB ({one.notebook or one.session}, running for "
        f"{format_duration(one.running_s)})"
        for one in found.recorders
    )
    return _ok("its cost", "; ".join(texts))


def _journal(found: Examination) -> Iterator[Check]:
    journal = found.journal
    if journal.problem:
        text = f"no session can be written to {journal.path} ({journal.problem})"
        remedy = "make room there, or set JupyterGreen.data_dir to a directory of your own"
        yield Check(about="journal", verdict=PROBLEM, text=text, remedy=remedy)
    else:
        text = f"{journal.path} can be written"
        if journal.free_bytes is not None:
            text += f", {format_bytes(journal.free_bytes)} free"
        low = journal.free_bytes is not None and journal.free_bytes < LEAST_FREE_BYTES
        remedy = (
            "make room: `jupyter green prune --older-than 90d` deletes old sessions" if low else ""
        )
        yield Check(about="journal", verdict=PROBLEM if low else OK, text=text, remedy=remedy)
    if journal.sessions:
        yield from _sessions(found)


def _sessions(found: Examination) -> Iterator[Check]:
    journal = found.journal
    text = f"{journal.sessions} recorded, {format_bytes(journal.size_bytes)}"
    if journal.no_goodbye:
        text += (
            f"; {journal.no_goodbye} of the newest {journal.looked_at} ended without goodbye "
            "(killed kernels; their energy up to then is kept)"
        )
    yield _ok("sessions", text)
    if journal.damaged:
        names = ", ".join(f"{name} ({lines})" for name, lines in journal.damaged.items())
        text = (
            f"lines that cannot be read, in the newest {journal.read}: {names}; they are left out"
        )
        yield _note("sessions", text, "look for a full or failing disk")


def _place(found: Examination, problem: str) -> Iterator[Check]:
    intensity, remedy = found.intensity, "jupyter green place FR"
    if intensity is not None:
        text = (
            f"{intensity.place}: {format_number(intensity.g_per_kwh)} g CO2e/kWh "
            f"({intensity.year}, {intensity.basis}; {intensity.source})"
        )
        yield _ok("place", text)
    elif problem:
        yield Check(about="place", verdict=PROBLEM, text=problem, remedy=remedy)
    else:
        yield _note("place", "none is set, so CO2 is not shown", remedy)
    pue = found.pricing.pue
    if pue == 1:
        text = "1.0: nothing is added for cooling and losses of a data centre"
        yield Check(
            about="PUE", verdict=OK, text=text, remedy="set JupyterGreen.pue if it stands in one"
        )
    else:
        yield _ok("PUE", f"{format_number(pue)}: CO2 and cost are those of the energy times this")


def _settings(found: Examination, problems: Sequence[str]) -> Iterator[Check]:
    files = ", ".join(found.settings_files) or "no file, all have their defaults"
    yield _ok("settings", f"from {files}")
    for problem in problems:
        yield Check(about="settings", verdict=PROBLEM, text=problem)


# --- small things -------------------------------------------------------------------------


def _ok(about: str, text: str) -> Check:
    return Check(about=about, verdict=OK, text=text)


def _note(about: str, text: str, remedy: str = "") -> Check:
    return Check(about=about, verdict=NOTE, text=text, remedy=remedy)


def format_bytes(count: int) -> str:
    """Bytes as text: 12 kB, 3.4 MB, 120 GB."""
    for size, symbol in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{format_number(count / size)} {symbol}"
    return f"{count} B"
