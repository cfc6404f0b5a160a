"""Searches for hyper-parameters, their trials and what they took: frozen values.

Made by :func:`jupyter_green.insight.searches.outcome`; what they say in words is in
:mod:`jupyter_green.insight.searches_verdict`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from jupyter_green.insight.contest import is_fraction
from jupyter_green.insight.findings import short
from jupyter_green.insight.statistics import Contrast, Estimate, estimate

NEVER = frozenset({"returns", "space"})
"""Why a search ended that would not have reached the target later, either."""


@dataclass(frozen=True)
class Trial:
    """One set of hyper-parameters, tried out."""

    strategy: str
    """As the user wrote it: never trusted, made harmless by whoever shows it."""
    search: str
    number: int
    """In its search, from 1."""
    span: int
    started_s: float
    """Seconds after the session's start."""
    duration_s: float
    status: str
    """ok, pruned, error, interrupted, kernel died or unfinished."""
    error: str | None
    """Class name of the exception."""
    energy_j: float | None
    """Joules of the whole machine during the trial; None: no counter could be read."""
    bound_j: float
    """Half-width of the interval that is stated with ``energy_j``."""
    below_resolution: bool
    """Too short for its counters."""
    missing: tuple[str, ...]
    """Counters that could not be read throughout: the energy is a lower bound."""
    provenance: tuple[str, ...]
    value: float | None
    """Of the metric; None: it has no finite one."""
    best: float | None
    """Best value of the search so far; None: none yet."""
    at_j: float | None
    """Joules from the search's start until the value was known, the sampler's work included."""
    at_s: float | None
    """Seconds, likewise."""

    @property
    def outcome(self) -> str:
        """completed, pruned, failed, interrupted, or without a finite value."""
        if self.status == "ok":
            return "no finite value" if self.value is None else "completed"
        return "failed" if self.status == "error" else self.status


@dataclass(frozen=True, repr=False)
class Search:
    """One run of a strategy with one seed."""

    strategy: str
    name: str
    """``tpe#3``: of its span, and of the run under which its metric was logged."""
    seed: int | None
    span: int
    started_s: float
    duration_s: float
    status: str
    error: str | None
    energy_j: float | None
    """Joules of all of it: trials, and what the sampler did between them."""
    lag_j: float
    """Half-width of the interval that the counters' updates leave."""
    missing: tuple[str, ...]
    provenance: tuple[str, ...]
    trials: tuple[Trial, ...]
    stopped: str
    """What ended it before its number of trials: target, budget, returns, or space (all of it was
    tried); empty: nothing did."""
    reached: Trial | None
    """The first trial at the common target."""

    @property
    def best(self) -> float | None:
        """The best value; None: it has no finite one."""
        return self.trials[-1].best if self.trials else None

    @property
    def counts(self) -> bool:
        """It ran to its end and has a value, so that it is compared with others."""
        return self.status == "ok" and self.best is not None

    @property
    def is_censored(self) -> bool:
        """It did not reach the target, and might have with more trials."""
        return self.reached is None and self.stopped not in NEVER

    def taken(self, by_time: bool) -> float:
        """Seconds or joules of all of it; 0 where they are not known."""
        return self.duration_s if by_time else self.energy_j or 0.0

    def __repr__(self) -> str:
        return f"<Search {short(self.name)!r}: {len(self.trials)} trials>"


@dataclass(frozen=True, repr=False)
class Strategy:
    """All searches of one strategy."""

    name: str
    searches: tuple[Search, ...]
    """In the order of time, with those that are not compared."""
    energies_j: tuple[float, ...] = ()
    """Of each compared search the joules to the target, or to the horizon if that comes first."""
    durations_s: tuple[float, ...] = ()
    """Seconds, likewise."""
    random_first: int = 0
    """So many trials of each search are drawn at random at first; 0: not known, or none."""

    @property
    def compared(self) -> tuple[Search, ...]:
        return tuple(search for search in self.searches if search.counts)

    @property
    def reached(self) -> int:
        """Compared searches that came to the target."""
        return sum(search.reached is not None for search in self.compared)

    @property
    def at_random(self) -> int:
        """Of those that came to the target, how many did so while trials were drawn at random."""
        arrived = (search.reached for search in self.compared if search.reached is not None)
        return sum(trial.number <= self.random_first for trial in arrived)

    @property
    def might_have(self) -> bool:
        """A compared search did not come to the target, and might have with more trials."""
        return any(search.is_censored for search in self.compared)

    def is_limited(self, by_time: bool) -> bool:
        """A search counts with the horizon: what the target takes on average is more than the
        mean says."""
        known = self.durations_s if by_time else self.energies_j
        trials = (search.reached for search in self.compared)
        taken = (None if one is None else one.at_s if by_time else one.at_j for one in trials)
        return any(own is None or own > counted for own, counted in zip(taken, known, strict=False))

    @property
    def bests(self) -> tuple[float, ...]:
        """The best value of each compared search."""
        return tuple(search.best for search in self.compared if search.best is not None)

    @property
    def trials(self) -> tuple[Trial, ...]:
        return tuple(trial for search in self.searches for trial in search.trials)

    @property
    def outcomes(self) -> Counter[str]:
        """How many trials came to which end."""
        return Counter(trial.outcome for trial in self.trials)

    @property
    def energy(self) -> Estimate | None:
        """Mean joules to the target, of at most the horizon. None: not known."""
        return estimate(self.energies_j) if self.energies_j else None

    @property
    def duration(self) -> Estimate | None:
        """Mean seconds, likewise."""
        return estimate(self.durations_s) if self.durations_s else None

    @property
    def quality(self) -> Estimate | None:
        """Mean of the best values."""
        return estimate(self.bests) if self.bests else None

    @property
    def total(self) -> Estimate | None:
        """Mean joules of whole compared searches. None: of one they are not known."""
        known = [one.energy_j for one in self.compared if one.energy_j is not None]
        return estimate(known) if known and len(known) == len(self.compared) else None

    @property
    def provenance(self) -> tuple[str, ...]:
        return tuple(sorted({name for one in self.searches for name in one.provenance}))

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(sorted({name for one in self.compared for name in one.missing}))

    def __repr__(self) -> str:
        return f"<Strategy {short(self.name)!r}: {len(self.searches)} searches>"


@dataclass(frozen=True)
class Rivals:
    """Two strategies in one respect; ``contrast`` is the second less the first."""

    first: str
    """The one that took more, or was worse."""
    second: str
    contrast: Contrast


@dataclass(frozen=True, repr=False)
class Outcome:
    """Strategies side by side."""

    strategies: tuple[Strategy, ...]
    metric: str
    """User's text."""
    lower: bool
    """Lower is better."""
    planned: int
    """Trials of each search."""
    target: float | None
    """What all are measured by; None: no search has a value."""
    is_given: bool
    """The user gave the target."""
    horizon_j: float | None = None
    """Up to so many joules searches are compared; None: not known."""
    horizon_s: float | None = None
    """Seconds, likewise."""
    doubt: str = ""
    """Why energy is not judged, and time is: modelled, no counter, lower bounds or short; empty:
    energy is."""
    energy: tuple[Rivals, ...] = ()
    """All pairs by energy to the target; none where there is a doubt, or too few searches."""
    duration: tuple[Rivals, ...] = ()
    """By time to the target."""
    quality: tuple[Rivals, ...] = ()
    """By the best value."""
    front: tuple[Trial, ...] = ()
    """Trials that no other one beats in value and joules, by ascending energy."""
    clear_front: tuple[Trial, ...] = ()
    """Those of the front that are cheaper than every better one by more than the bounds of both."""
    searches_planned: int = 0
    """Of all strategies together; 0: not known."""
    status: str = "ok"
    """Of the whole study: ok, error, interrupted, kernel died or unfinished."""
    error: str | None = None
    """Class name of the exception that has ended it."""
    sentences: tuple[str, ...] = ()
    """Names in them are users'."""
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """All sentences."""
        return " ".join(self.sentences)

    @property
    def by_time(self) -> bool:
        """Time is judged, and not energy."""
        return bool(self.doubt)

    @property
    def judged(self) -> tuple[Rivals, ...]:
        """All pairs by what is judged."""
        return self.duration if self.by_time else self.energy

    @property
    def is_fraction(self) -> bool:
        """The metric is a fraction of one, told in points of a hundredth."""
        values = [trial.value for one in self.strategies for trial in one.trials]
        return is_fraction([value for value in values if value is not None], self.lower)

    def strategy(self, name: str) -> Strategy:
        """The strategy of that name.

        Raises:
            KeyError: there is none.
        """
        for strategy in self.strategies:
            if strategy.name == name:
                return strategy
        raise KeyError(name)

    def __repr__(self) -> str:
        return f"<Outcome of {', '.join(repr(short(one.name)) for one in self.strategies)}>"
