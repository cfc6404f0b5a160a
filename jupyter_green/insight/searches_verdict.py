"""What searches have shown, in sentences that are right about energy, time and quality.

Nobody wins but against every other strategy, and here only. No sentence claims a saving in energy
from modelled figures, from lower bounds, or from what the counters cannot resolve: there time is
told. Names are the user's: bounded here, made harmless by whoever shows the sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jupyter_green.insight.findings import short
from jupyter_green.insight.searches_values import Outcome, Rivals, Strategy
from jupyter_green.insight.statistics import Contrast
from jupyter_green.insight.verdict import FEW, MODELLED, percent_of, quality_change_of
from jupyter_green.sessions.model import Session, Span
from jupyter_green.units import UJ_PER_J, format_duration, format_energy, format_number

DIGITS = 4
"""Of a value of the metric."""
MOST_NAMED = 8
"""Kinds of errors that are named."""
DOUBTS = {
    "modelled": MODELLED,
    "no counter": "no energy counter could be read",
    "lower bounds": "energies are lower bounds, so that no saving is told",
    "short": "the searches are too short for the counters to tell their energies",
}
ENDS = {
    "target": "ended at the target",
    "budget": "ended at the budget",
    "returns": "ended at diminishing returns",
    "space": "had tried the whole space",
}


def sentences(outcome: Outcome) -> Iterable[str]:
    """About the cost of the target, who came to it, and the best values."""
    if outcome.status != "ok":
        yield _ended(outcome)
    nothing = _nothing(outcome)
    if nothing:
        yield nothing
        return
    doubt = DOUBTS.get(outcome.doubt)
    if doubt is not None:
        yield f"{doubt[0].upper()}{doubt[1:]}."
    yield f"{_cost(outcome)}."
    yield f"{_reached(outcome)}."
    quality = _quality(outcome)
    if quality:
        yield f"{quality}."


def _ended(outcome: Outcome) -> str:
    """Of a study that did not come to its end."""
    how = {
        "interrupted": "was interrupted",
        "error": f"ended with {short(outcome.error or 'an error')}",
    }.get(outcome.status, f"did not come to its end ({short(outcome.status)})")
    searches = [one for side in outcome.strategies for one in side.searches]
    done = sum(one.status == "ok" for one in searches)
    if not outcome.searches_planned:
        return f"The study {how}: {done} search{'es were' if done != 1 else ' was'} finished."
    were = "was" if done == 1 else "were"
    return f"The study {how}: {done} of {outcome.searches_planned} searches {were} finished."


def _nothing(outcome: Outcome) -> str:
    """Where there is nothing to compare."""
    counts = [len(one.compared) for one in outcome.strategies]
    metric = short(outcome.metric)
    if not any(counts):
        return f"Nothing can be judged: no search ended with a finite {metric}."
    if sum(count > 1 for count in counts) < 2 and sum(map(bool, counts)) > 1:
        many = "one search each" if max(counts) == 1 else "one search of all but one"
        return f"{_arrivals(outcome)}. Nobody can be said to have won: {many}."
    return ""


# --- energy and time ----------------------------------------------------------------------


def _cost(outcome: Outcome) -> str:
    if not any(strategy.reached for strategy in outcome.strategies):
        return f"No search reached {_goal(outcome)}: nobody won here"
    found = [pair for pair in outcome.judged if pair.contrast.found]
    what = "time" if outcome.by_time else "energy"
    if not outcome.judged:
        return "One strategy alone: there is nothing to compare it with"
    if not found:
        return (
            f"Nobody won here: no difference in {what} to {_goal(outcome)} was found between "
            f"{_names([one.name for one in _tested(outcome)])}"
        )
    winner = _winner(outcome)
    if winner is not None:
        over = "; ".join(_less(outcome, pair) for pair in found if pair.second == winner)
        return f"{short(winner)} won here, by {what} to {_goal(outcome)}: it took {over}"
    told = "; ".join(f"{short(pair.second)} took {_less(outcome, pair)}" for pair in found)
    others = len(outcome.judged) - len(found)
    between = (
        f"; between the other {others} pairs no difference was found"
        if others > 1
        else "; in the other pair no difference was found"
    )
    return (
        f"Nobody won here against all others by {what} to {_goal(outcome)}, but {told}"
        f"{between if others else ''}"
    )


def _winner(outcome: Outcome) -> str | None:
    """Who took less than each of the others."""
    names = {one.name for one in _tested(outcome)}
    for name in names:
        beaten = {
            pair.first for pair in outcome.judged if pair.second == name and pair.contrast.found
        }
        if beaten == names - {name}:
            return name
    return None


def _tested(outcome: Outcome) -> list[Strategy]:
    """Strategies with enough searches, in the user's order."""
    names = {name for pair in outcome.duration for name in (pair.first, pair.second)}
    return [one for one in outcome.strategies if one.name in names]


def _less(outcome: Outcome, pair: Rivals) -> str:
    """``41 % less energy than grid (95 % interval 20 to 60 %)``.

    Of searches that count with the horizon it is known that they would have taken more, and not
    how much: against them the lower end of the interval stands alone.
    """
    what = "time" if outcome.by_time else "energy"
    percent = percent_of(pair.contrast)
    first, second = (
        outcome.strategy(name).is_limited(outcome.by_time) for name in (pair.first, pair.second)
    )
    if percent is None or second:
        return f"less {what} than {short(pair.first)} (by how many percent is open)"
    if first:
        least = percent.ends[0] if percent.ends else percent.value
        return f"at least {least.removeprefix('> ')} % less {what} than {short(pair.first)}"
    interval = f" (95 % interval {percent.interval} %)" if percent.ends else ""
    return f"{percent.value} % less {what} than {short(pair.first)}{interval}"


def _goal(outcome: Outcome) -> str:
    target = "?" if outcome.target is None else format_number(outcome.target, DIGITS)
    return f"{short(outcome.metric)} {target}"


def _reached(outcome: Outcome) -> str:
    until = horizon_words(outcome)
    late = f"; a search that did not counts with {until}" if until and _is_open(outcome) else ""
    return f"{_arrivals(outcome)}{late}"


def _arrivals(outcome: Outcome) -> str:
    parts = [
        f"{short(one.name)} {one.reached} of {len(one.compared)}"
        for one in outcome.strategies
        if one.compared
    ]
    return f"{_goal(outcome)} was reached by {', '.join(parts)}"


def _is_open(outcome: Outcome) -> bool:
    """A search did not arrive, or only beyond the horizon."""
    if not any(one.reached for one in outcome.strategies):
        return False
    return any(one.reached < len(one.compared) for one in outcome.strategies)


def horizon_words(outcome: Outcome) -> str:
    """Up to where searches are compared; empty where it is not known."""
    if outcome.by_time:
        return "" if outcome.horizon_s is None else format_duration(outcome.horizon_s)
    return "" if outcome.horizon_j is None else format_energy(outcome.horizon_j * UJ_PER_J)


# --- quality ------------------------------------------------------------------------------


def _quality(outcome: Outcome) -> str:
    if not outcome.quality:
        return ""
    metric = short(outcome.metric)
    found = [pair for pair in outcome.quality if pair.contrast.found]
    if not found:
        return f"No difference in the best {metric} was found ({_means(outcome)})"
    told = "; ".join(
        f"{short(pair.second)} {_change(pair.contrast, outcome.lower)} against {short(pair.first)}"
        for pair in found
    )
    others = "" if len(found) == len(outcome.quality) else "; no other difference was found"
    return f"The best {metric}: {told}{others} ({_means(outcome)})"


def _change(contrast: Contrast, lower: bool) -> str:
    return quality_change_of(contrast, lower)


def _means(outcome: Outcome) -> str:
    parts = [
        f"{short(one.name)} {format_number(one.quality.mean, DIGITS)}"
        for one in outcome.strategies
        if one.quality is not None
    ]
    return f"on average {', '.join(parts)}"


# --- notes --------------------------------------------------------------------------------


def notes(outcome: Outcome) -> Iterable[str]:
    """How it was compared, what was left out, and what limits the trust in the figures."""
    yield from _target_note(outcome)
    yield from _horizon_note(outcome)
    for strategy in outcome.strategies:
        yield from _ends(strategy)
        yield from _broken(strategy)
        yield from _random(outcome, strategy)
    if any(one.stopped == "target" for side in outcome.strategies for one in side.compared):
        yield "A search that ended at the target might have found better values later."
    compared = [len(one.compared) for one in outcome.strategies]
    if any(0 < count < FEW for count in compared):
        yield f"Fewer than {FEW} searches of a strategy: only large differences can be found."
    if len(outcome.duration or outcome.quality) > 1:
        count = len(outcome.duration or outcome.quality)
        yield f"The p-values of {count} pairs are corrected for their number (Holm)."
    yield from _energy_notes(outcome)


def _target_note(outcome: Outcome) -> Iterable[str]:
    if outcome.target is None or outcome.is_given:
        return
    metric = short(outcome.metric)
    if outcome.is_fraction:
        yield f"The target is 95 % of the best {metric} of all searches."
    else:
        yield f"The target lies 95 % of the way from the median trial's {metric} to the best one."


def _horizon_note(outcome: Outcome) -> Iterable[str]:
    until = horizon_words(outcome)
    if not until or not any(one.reached for one in outcome.strategies):
        return
    censored = [one for side in outcome.strategies for one in side.compared if one.is_censored]
    if censored:
        first = min(censored, key=lambda one: one.taken(outcome.by_time))
        yield (
            f"Searches are compared up to {until}, where {short(first.name)} ended without "
            "reaching the target."
        )


def _ends(strategy: Strategy) -> Iterable[str]:
    reasons = [one.stopped for one in strategy.searches if one.stopped]
    if reasons:
        parts = [f"{reasons.count(why)} {ENDS[why]}" for why in sorted(set(reasons))]
        of = f"of {len(strategy.searches)} search{'es' * (len(strategy.searches) != 1)}"
        yield f"{short(strategy.name)}: {of} {', '.join(parts)}."


def _broken(strategy: Strategy) -> Iterable[str]:
    name, outcomes = short(strategy.name), strategy.outcomes
    odd = [(what, count) for what, count in sorted(outcomes.items()) if what != "completed"]
    if odd:
        kinds = _kinds(trial.error for trial in strategy.trials if trial.status == "error")
        parts = (
            f"{count} {'without a finite value' if what == 'no finite value' else what}"
            f"{kinds if what == 'failed' else ''}"
            for what, count in odd
        )
        yield f"{name}: of {outcomes.total()} trials {', '.join(parts)}; their energy counts."
    lost = [one for one in strategy.searches if not one.counts]
    if lost:
        why = dict.fromkeys(
            "interrupted"
            if one.status == "interrupted"
            else "no finite value"
            if one.status == "ok"
            else short(one.error or one.status)
            for one in lost
        )
        are = "search is" if len(lost) == 1 else "searches are"
        yield f"{name}: {len(lost)} {are} left out of the comparison ({', '.join(why)})."


def _random(outcome: Outcome, strategy: Strategy) -> Iterable[str]:
    """Before a sampler has values to learn from, it is random search by another name."""
    first, name = strategy.random_first, short(strategy.name)
    if not first or not strategy.searches:
        return
    if outcome.planned <= first:
        yield (
            f"{name} draws its first {first} trials at random, and a search has {outcome.planned} "
            "here: it is random search under another name."
        )
        return
    arrived = ""
    if strategy.reached:
        arrivals = "arrival was" if strategy.reached == 1 else "arrivals were"
        arrived = f"; {strategy.at_random} of {strategy.reached} {arrivals} among them"
    yield f"{name} draws the first {first} of {outcome.planned} trials at random{arrived}."


def _kinds(errors: Iterable[str | None]) -> str:
    named = [short(one) for one in sorted({error for error in errors if error})]
    return f" ({', '.join(named[:MOST_NAMED])})" if named else ""


def _energy_notes(outcome: Outcome) -> Iterable[str]:
    if outcome.doubt == "modelled":
        yield (
            "The ± of a modelled energy is how searches vary, not how far the model may be off; "
            "the front of values and joules is one of values and time."
        )
    missing = sorted({name for one in outcome.strategies for name in one.missing})
    if missing:
        yield f"Energies are lower bounds: {', '.join(map(short, missing))} missing."
    if any(trial.below_resolution for trial in outcome.front):
        yield "Trials on the front are too short for the counters: their own joules are uncertain."


def about_all(session: Session, study: Span) -> Iterable[str]:
    """What the whole study took, and who else was there."""
    energy = study.energy
    if energy.total_uj is not None:
        least = "at least " if energy.missing else ""
        modelled = " (modelled)" if "modelled" in energy.provenance else ""
        yield (
            f"All of it took {least}{format_energy(energy.total_uj)}{modelled} and "
            f"{format_duration(study.duration_s)}, warm-up included."
        )
    if any(overlap.seen_s <= study.finished_s for overlap in session.overlaps):
        yield "Another session used the machine at the time: what it took is in these figures."


def _names(texts: Sequence[str]) -> str:
    shown = [short(one) for one in texts]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1]))) if shown else "them"
