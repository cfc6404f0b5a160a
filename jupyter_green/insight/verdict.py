"""A comparison in sentences that are right about energy and about quality.

No sentence claims a saving in energy from modelled figures, from lower bounds that do not carry
it, from other machines or counters, or from too few runs; each says what it is instead. Names
are the user's: bounded here, made harmless by whoever shows the sentence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from jupyter_green.insight.contest import Pair, Side, is_fraction
from jupyter_green.insight.findings import short
from jupyter_green.insight.frontier import HUNDREDTH
from jupyter_green.insight.statistics import Contrast
from jupyter_green.units import UJ_PER_J, format_energy, format_number

MODELLED = "modelled: joules are seconds times assumed watts, so that no saving in energy is told"
FEW = 5
"""Runs a side below which only large differences can be found."""
DIGITS = 3
"""Of a percentage that are shown at most: counters and clocks tell no more."""

Metric = tuple[str | None, bool | None]
"""Its name, and whether lower is better."""


def sentences(pairs: Sequence[Pair], metric: Metric) -> tuple[str, ...]:
    """One a pair; one for all where each has run but once."""
    if len(pairs) > 1 and all(_ran_once(side) for side in (pairs[0].baseline, *_others(pairs))):
        return (f"none of the {len(pairs) + 1} can be judged: one run each.",)
    if len(pairs) > 1 and all(pair.doubt == "modelled" for pair in pairs):
        # Said once for all of them.
        told = (_sentence(pair, metric, _time) for pair in pairs)
        return (f"{MODELLED[0].upper()}{MODELLED[1:]}.", *(f"{one}." for one in told))
    return tuple(f"{_sentence(pair, metric, _cost)}." for pair in pairs)


def _ran_once(side: Side) -> bool:
    return len(side.repeats) == len(side.compared) == 1


def _others(pairs: Sequence[Pair]) -> Iterable[Side]:
    return (pair.other for pair in pairs)


def _sentence(pair: Pair, metric: Metric, cost: Callable[[Pair], str]) -> str:
    nothing = _nothing(pair)
    if nothing:
        return nothing
    # "its" is only clear where the sentence has begun with the name.
    told_of_it = any(one is not None and one.found for one in _judged_by(pair))
    return f"{cost(pair)}, and {_quality(pair, metric, told_of_it)}"


def _judged_by(pair: Pair) -> tuple[Contrast | None, ...]:
    """What the sentence about the cost ends with."""
    if pair.doubt == "elsewhere":
        return ()
    return (pair.duration,) if pair.doubt else (pair.energy,)


def _nothing(pair: Pair) -> str:
    """Where there is nothing to compare: too few runs."""
    sides = (pair.baseline, pair.other)
    for side in sides:
        if not side.succeeded:
            return f"{short(side.name)} cannot be judged: none of its {_attempts(side)} succeeded"
        if not side.compared:
            return f"{short(side.name)} cannot be judged: all of its runs are left out"
    if all(len(side.compared) == 1 for side in sides):
        return f"{_names(pair)} cannot be judged: one run each"
    for side in sides:
        if len(side.compared) == 1:
            return f"{_names(pair)} cannot be judged: one run of {short(side.name)}"
    return ""


# --- energy and time ----------------------------------------------------------------------


def _cost(pair: Pair) -> str:
    match pair.doubt:
        case "":
            return _energy(pair)
        case "modelled":
            return f"{MODELLED}; {_time(pair)}"
        case "no counter":
            return f"no energy counter could be read; {_time(pair)}"
        case "elsewhere":
            return (
                f"{_names(pair)} were measured on different machines or with different counters: "
                "their energies are not subtracted"
            )
        case "lower bounds":
            return f"{_bounds(pair)}; {_time(pair)}"
    return f"energy cannot be judged: {_why_few(pair)}; {_time(pair)}"


def _energy(pair: Pair) -> str:
    contrast = pair.energy
    assert contrast is not None
    if pair.baseline.at_least or pair.other.at_least:
        return _at_least(pair)
    if not contrast.found:
        return _no_difference("energy", pair, contrast)
    return f"{short(pair.other.name)} used {_changed(contrast, 'energy', pair)}"


def _time(pair: Pair) -> str:
    contrast = pair.duration
    if contrast is None:
        return "nor can time be judged"
    if not contrast.found:
        return _no_difference("time", pair, contrast)
    return f"{short(pair.other.name)} took {_changed(contrast, 'time', pair)}"


def _no_difference(what: str, pair: Pair, contrast: Contrast) -> str:
    return (
        f"no difference in {what} between {_names(pair)} was found: the interval is "
        f"{_change_interval(contrast)} ({_runs(contrast)}{_may_be_chance(contrast)})"
    )


def _may_be_chance(contrast: Contrast) -> str:
    """Why nothing is claimed where the interval of the pair alone has no 0 in it."""
    tested = contrast.welch
    if tested.low <= 0 <= tested.high:
        return ""
    if contrast.pairs > 1:
        return f"; of this pair alone: among {contrast.pairs} it may be chance"
    return "; a permutation test takes it for chance"


def _at_least(pair: Pair) -> str:
    saved = pair.least_saving
    contrast = pair.energy
    assert saved is not None
    assert contrast is not None
    bounded = pair.baseline if pair.baseline.at_least else pair.other
    return (
        f"{short(pair.other.name)} used at least {_least(saved)} % "
        f"{'less' if saved > 0 else 'more'} "
        f"energy than {short(pair.baseline.name)} ({_runs(contrast)}; the energy of "
        f"{short(bounded.name)} is a lower bound, {_missing(bounded)} missing)"
    )


def _least(saved: float) -> str:
    """Rounded down, or it would not hold."""
    percent = 100 * abs(saved)
    step = 10.0 ** -_decimals(percent, 1)
    return format_number(math.floor(percent / step) * step)


def _bounds(pair: Pair) -> str:
    bounded = [side for side in (pair.baseline, pair.other) if side.at_least]
    names = " and ".join(short(side.name) for side in bounded)
    missing = ", ".join(dict.fromkeys(_missing(side) for side in bounded))
    is_are = "is a lower bound" if len(bounded) == 1 else "are lower bounds"
    return (
        f"whether {short(pair.other.name)} used less energy than {short(pair.baseline.name)} "
        f"cannot be told: the energy of {names} {is_are} ({missing} missing)"
    )


def _why_few(pair: Pair) -> str:
    for side in (pair.baseline, pair.other):
        if len(side.measured) < 2:
            reasons = side.left_out()
            why = f" ({max(reasons, key=reasons.__getitem__)})" if reasons else ""
            count = "only 1 run" if side.measured else "no run"
            return f"{count} of {short(side.name)} tells it{why}"
    return "too few runs"


def _changed(contrast: Contrast, what: str, pair: Pair) -> str:
    """``31 % less energy than baseline (95 % interval 27 to 35 %, 7 runs each)``."""
    than = f"{_direction(contrast)} {what} than {short(pair.baseline.name)}"
    percent = percent_of(contrast)
    if percent is None:
        return f"{than} (by how many percent is open, {_runs(contrast)})"
    if not percent.ends:
        return f"{percent.value} % {than} ({_runs(contrast)}, all alike)"
    return f"{percent.value} % {than} (95 % interval {percent.interval} %, {_runs(contrast)})"


def _change_interval(contrast: Contrast) -> str:
    """``-2 to +3 %``."""
    ends = _ends(contrast)
    if ends is None or (ends[0] == 0 and ends[1] >= 2):
        return "too wide to tell"
    low, high = (100 * (end - 1) for end in ends)
    decimals = _enough(low, high, most=_decimals(max(-low, high), DIGITS))
    return f"{_signed(low, decimals)} to {_signed(high, decimals)} %"


@dataclass(frozen=True)
class Percent:
    """By how much one took less or more, in texts without a sign and a unit."""

    value: str
    """``30.8``, or ``> 99.9`` where so few digits would round it to everything."""
    ends: tuple[str, ...]
    """Of the 95 % interval, the smaller first; none where all runs were alike."""

    @property
    def interval(self) -> str:
        """``30.0 to 31.6``, and one end where both read alike."""
        return " to ".join(dict.fromkeys(self.ends))


def percent_of(contrast: Contrast) -> Percent | None:
    """By how many percent the second took less or more; None: it is open.

    Energy and time are never below 0: nothing takes more than 100 % less, whatever an interval
    that knows nothing of this would say. Shown are as many digits as the interval's width bears
    out, and no more than three of the value.
    """
    tested, ends = contrast.welch, _ends(contrast)
    if tested.ratio is None or ends is None:
        return None
    is_less = tested.difference < 0
    low, high = (1 - ends[1], 1 - ends[0]) if is_less else (ends[0] - 1, ends[1] - 1)
    value = 100 * abs(tested.ratio - 1)
    digits = _decimals(value, DIGITS)
    if low == high:
        text = format_number(value, DIGITS)
        return Percent(_not_all(value, text, digits) if is_less else text, ())
    decimals = _enough(100 * low, 100 * high, most=digits)
    texts = (_number(one, decimals) for one in (value, 100 * low, 100 * high))
    if not is_less:
        shown, *interval = texts
        return Percent(shown, tuple(interval))
    shown, first, last = (
        _not_all(one, text, decimals)
        for one, text in zip((value, 100 * low, 100 * high), texts, strict=True)
    )
    return Percent(shown, (first, first if first.startswith(">") else last))


def change_of(contrast: Contrast, least_saving: float | None = None) -> str:
    """The same for a table: ``-30.8 %``, ``< -99.9 %``, ``less`` where it is open how much.

    Args:
        least_saving: of lower bounds, the share that is saved at least.
    """
    if not contrast.found:
        return "none found"
    is_less = contrast.welch.difference < 0
    sign = "-" if is_less else "+"
    if least_saving is not None:
        return f"{'≤' if is_less else '≥'} {sign}{_least(least_saving)} %"
    percent = percent_of(contrast)
    if percent is None:
        return _direction(contrast)
    if percent.value.startswith("> "):
        return f"< -{percent.value[2:]} %"
    return f"{sign}{percent.value} %"


def _ends(contrast: Contrast) -> tuple[float, float] | None:
    """Of the interval of the ratio, within what is possible; None: it has no ends."""
    low, high = contrast.welch.ratio_low, contrast.welch.ratio_high
    if low is None or high is None or not math.isfinite(high - low):
        return None
    return max(0.0, low), max(0.0, high)


def _direction(contrast: Contrast) -> str:
    return "less" if contrast.welch.difference < 0 else "more"


def _not_all(percent: float, text: str, decimals: int) -> str:
    """``> 99.9`` for what is less than 100 % and would be rounded to it."""
    if percent >= 100 or float(text) < 100:
        return text
    return f"> {100 - 10.0**-decimals:.{decimals}f}"


# --- quality ------------------------------------------------------------------------------


def _quality(pair: Pair, metric: Metric, told_of_it: bool) -> str:
    name, lower = metric
    if name is None:
        return "what that bought is not known: no metric was logged"
    name = short(name)
    its = f"its {name}" if told_of_it else f"the {name} of {short(pair.other.name)}"
    contrast = pair.quality
    if contrast is None:
        return f"{its} cannot be judged: {_why_no_quality(pair)}"
    difference, low, high, unit = _difference(contrast, lower)
    if low == high == 0:
        return f"{its} was the same in every run"
    if not contrast.found and low == high:
        what = _differs((low, high), low, unit, lower)
        return f"{its} was {what}; so few runs cannot tell it from chance"
    decimals = _enough(low, high)
    if not contrast.found:
        ends = f"{_signed(low, decimals)} to {_signed(high, decimals)}{unit}"
        return f"no difference in {name} was found ({ends}{_may_be_chance(contrast)})"
    return f"{its} was {_differs((low, high), difference, unit, lower)}"


def quality_change_of(contrast: Contrast, lower: bool | None) -> str:
    """The same for a table: ``-0.4 points``."""
    if not contrast.found:
        return "none found"
    difference, low, high, unit = _difference(contrast, lower)
    return f"{'-' if difference < 0 else '+'}{_with_unit(_size((low, high), difference), unit)}"


def _difference(contrast: Contrast, lower: bool | None) -> tuple[float, float, float, str]:
    """The difference, its interval, and their unit: points of a fraction, else the metric's own."""
    points = is_fraction([*contrast.first, *contrast.second], lower)
    size, unit = (HUNDREDTH, " points") if points else (1.0, "")
    tested = contrast.welch
    return tested.difference / size, tested.low / size, tested.high / size, unit


def _size(ends: tuple[float, float], difference: float) -> str:
    """Without its sign, as precise as its interval."""
    if ends[0] == ends[1]:
        return format_number(abs(difference))
    return _number(abs(difference), _enough(*ends))


def _why_no_quality(pair: Pair) -> str:
    sides = (pair.baseline, pair.other)
    if not any(side.logged for side in sides):
        return "no value of it was logged"
    few = [short(side.name) for side in sides if len(side.values) < 2]
    return f"fewer than two values of {' and '.join(few)}"


def _differs(ends: tuple[float, float], difference: float, unit: str, lower: bool | None) -> str:
    """``0.4 points lower (0.1 to 0.7)``."""
    is_less = difference < 0
    worse = "" if lower is not True else f", which is {'better' if is_less else 'worse'}"
    words = f"{unit} {'lower' if is_less else 'higher'}"
    shown = _with_unit(_size(ends, difference), words)
    if ends[0] == ends[1]:
        return f"{shown} in every run{worse}"
    decimals = _enough(*ends)
    texts = [_number(end, decimals) for end in (sorted(-end for end in ends) if is_less else ends)]
    return f"{shown}{worse} ({' to '.join(texts)})"


def _with_unit(number: str, words: str) -> str:
    return f"{number}{words.replace('points', 'point', 1) if number == '1' else words}"


# --- notes --------------------------------------------------------------------------------


def notes(sides: Sequence[Side], pairs: Sequence[Pair], metric: Metric) -> Iterable[str]:
    """What was left out, and what limits the trust in the figures."""
    # Of a metric that nobody logged it is said once, and not side by side.
    is_logged = any(side.logged for side in sides)
    for side in sides:
        yield from _side_notes(side, metric[0] if is_logged else None)
    judged = [one for pair in pairs for one in (pair.energy, pair.duration) if one is not None]
    if any("modelled" in side.provenance and len(side.measured) > 1 for side in sides):
        yield "The ± of a modelled energy is how runs vary, not how far the model may be off."
    if any(min(len(one.first), len(one.second)) < FEW for one in judged):
        yield f"Fewer than {FEW} runs a side: only large differences can be found."
    if len(pairs) > 1 and judged:
        yield f"The p-values of {len(pairs)} pairs are corrected for their number (Holm)."


def _side_notes(side: Side, metric: str | None) -> Iterable[str]:
    name = short(side.name)
    broken = _broken(side)
    if broken:
        spent = "" if side.spent_j is None else f"; all its attempts together took {_spent(side)}"
        yield f"{name}: {broken} of {_attempts(side)}{spent}."
    for reason, count in side.left_out().items():
        runs = "1 run is" if count == 1 else f"{count} runs are"
        yield f"{name}: {runs} not in the mean energy ({reason})."
    loops = {one.loops for one in side.compared}
    if loops - {1}:
        counts = " or ".join(f"{count:,}" for count in sorted(loops))
        yield f"{name}: energy and time are those of one of {counts} loops a run."
    lacking = len(side.compared) - len(side.values)
    if metric is not None and lacking:
        runs = "1 run has" if lacking == 1 else f"{lacking} runs have"
        yield f"{name}: {runs} no finite {short(metric)}."


def _broken(side: Side) -> str:
    failed = [one for one in side.repeats if one.status not in ("ok", "interrupted")]
    kinds = sorted({short(one.error or one.status) for one in failed})
    parts = [f"{len(failed)} failed ({', '.join(kinds)})"] if failed else []
    if side.interrupted:
        parts.append(f"{side.interrupted} interrupted")
    return " and ".join(parts)


def _spent(side: Side) -> str:
    spent = format_energy((side.spent_j or 0.0) * UJ_PER_J)
    return f"{spent} at least" if side.spent_at_least else spent


# --- words --------------------------------------------------------------------------------


def _names(pair: Pair) -> str:
    return f"{short(pair.other.name)} and {short(pair.baseline.name)}"


def _missing(side: Side) -> str:
    return ", ".join(map(short, side.at_least))


def _attempts(side: Side) -> str:
    return f"{len(side.repeats)} run{'s' * (len(side.repeats) != 1)}"


def _runs(contrast: Contrast) -> str:
    first, second = len(contrast.first), len(contrast.second)
    return f"{first} runs each" if first == second else f"{second} runs against {first}"


def _enough(low: float, high: float, most: int = 6) -> int:
    """Decimals that show an interval: one digit of its half-width, and no end as 0 that is none."""
    ends = [abs(end) for end in (low, high) if end]
    decimals = min(most, _decimals((high - low) / 2, 1))
    while decimals < 6 and any(round(end, decimals) == 0 for end in ends):
        decimals += 1
    return decimals


def _decimals(size: float, digits: int) -> int:
    if not 0 < size < math.inf:
        return 0
    return min(6, max(0, digits - 1 - math.floor(math.log10(size))))


def _number(value: float, decimals: int) -> str:
    # Adding zero turns the -0.0 that is left of a small negative value into 0.0.
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def _signed(value: float, decimals: int) -> str:
    text = _number(value, decimals)
    return text if value <= 0 or float(text) == 0 else f"+{text}"
