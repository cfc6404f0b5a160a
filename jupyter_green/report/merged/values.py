"""Several sessions as one value: what the forms of a merged report are made of.

Energy is told twice where it differs: as the union in time, in which no joule of a machine counts
twice, and as the sum of the sessions, which is what the ledger, the stages and the groups add up
to. The rules of the union are those of :mod:`jupyter_green.sessions.union`, the totals those of
:mod:`jupyter_green.sessions.history`.

Sessions are read one after the other, and of each only what a report tells is kept: a thousand
sessions take the memory of one and their summaries.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from msgspec import structs

from jupyter_green.errors import JournalError
from jupyter_green.insight.findings import Finding
from jupyter_green.insight.judgement import findings_of
from jupyter_green.insight.stages import Stage, by_stage, joined
from jupyter_green.sessions import library
from jupyter_green.sessions.history import Totals, Watch, totals
from jupyter_green.sessions.merged import Chosen, named
from jupyter_green.sessions.model import Period, Session, Trace
from jupyter_green.sessions.summary import Summary, summarize
from jupyter_green.sessions.union import union
from jupyter_green.units import uj_to_kwh

MONTHS_FROM_S = 61 * 86_400
"""Sessions that lie further apart are grouped by month, others by day."""

Revalue = Callable[[Session], Session]
"""The same session at another place, PUE or price."""


@dataclass(frozen=True)
class Member:
    """One session of a merged report."""

    session: Session
    """Without its cells, spans, metrics and trace: everything else is as it was recorded."""
    summary: Summary
    runs: int
    """Runs of cells that have ended ..."""
    failed: int
    superseded: int
    stages: tuple[Stage, ...]
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, session: Session) -> Member:
        """What a merged report keeps of a session."""
        categories = Counter(session.ledger.category_of.values())
        return cls(
            session=_light(session),
            summary=summarize(session),
            runs=len(session.cells),
            failed=categories["failed"],
            superseded=categories["superseded"],
            stages=by_stage(session),
            findings=findings_of(session),
        )

    @property
    def identity(self) -> tuple[str, str, str]:
        """Ids are made by chance, so machines could share one."""
        return self.summary.id, self.session.host, self.session.boot_id

    @property
    def cost(self) -> float | None:
        """In ``session.pricing.currency``; None: not known."""
        total = self.session.total
        return None if total.total_uj is None else self.session.cost(total)


def _light(session: Session) -> Session:
    return structs.replace(
        session,
        cells=(),
        open_cells=(),
        spans=(),
        metrics=(),
        models=(),
        ledger=structs.replace(session.ledger, category_of={}),
        trace=Trace(t=array("d"), uj={}),
    )


@dataclass(frozen=True)
class Worth:
    """What energy amounts to, in grams of CO2e on one basis or in one currency."""

    unit: str
    """The basis of the intensities, or the currency."""
    sessions: int
    """For which it is known."""
    summed: float
    """Of the sum of these sessions."""
    union: float | None
    """Of their union in time; None: sessions that ran at once have different rates."""
    at_least: bool
    """Energy of one of them is missing in part."""

    @property
    def value(self) -> float:
        """Without counting twice, where that can be told."""
        return self.summed if self.union is None else self.union


@dataclass(frozen=True)
class Group:
    """The sessions of one project, notebook, machine, month or day."""

    name: str | None
    members: tuple[Member, ...]

    @cached_property
    def totals(self) -> Totals:
        """Sum and union of its sessions."""
        return totals([one.summary for one in self.members])

    @cached_property
    def carbon(self) -> tuple[Worth, ...]:
        """Grams of CO2e, by basis."""
        return carbon(self.members)


@dataclass(frozen=True)
class Share:
    """One entry of the joint ledger: a part of the sum of the sessions."""

    name: str
    total_uj: int
    seconds: float


@dataclass(frozen=True)
class Kind:
    """Findings of one kind. They look at the same energy from several sides: never added."""

    kind: str
    sessions: int
    """In which it was found."""
    largest: Finding
    where: Summary
    """The session of the largest."""


@dataclass(frozen=True)
class Merged:
    """Several sessions, each of which counts once."""

    members: tuple[Member, ...]
    """The newest first; at least one."""
    problems: tuple[str, ...] = ()
    """Journals that were named and are left out, one sentence each."""
    repeated: int = 0
    """Sessions that were given again, and do not count again."""

    @classmethod
    def of(cls, sessions: Iterable[Session], problems: Iterable[str] = ()) -> Merged:
        """A merged report of these sessions. Of two copies of one, the longer is taken.

        Raises:
            JournalError: there is none.
        """
        known: dict[tuple[str, str, str], Member] = {}
        repeated = 0
        for session in sessions:
            one = Member.of(session)
            other = known.get(one.identity)
            repeated += other is not None
            if other is None or one.summary.duration_s > other.summary.duration_s:
                known[one.identity] = one
        told = tuple(problems)
        if not known:
            raise JournalError("; ".join(told) or "no session was given to merge")
        newest = sorted(
            known.values(), key=lambda one: (one.summary.started_wall_s, one.summary.id)
        )
        return cls(tuple(reversed(newest)), told, repeated)

    @cached_property
    def whole(self) -> Group:
        """All sessions."""
        return Group(None, self.members)

    @property
    def totals(self) -> Totals:
        """Sum and union of all sessions."""
        return self.whole.totals

    @property
    def overlaps(self) -> bool:
        """Sessions ran at the same time on one machine: their sum counts joules twice."""
        return self.totals.summed.total_uj != self.totals.union.total_uj

    @property
    def carbon(self) -> tuple[Worth, ...]:
        """Grams of CO2e, by basis: those of different bases are never added."""
        return self.whole.carbon

    @cached_property
    def cost(self) -> tuple[Worth, ...]:
        """By currency."""
        return _worths(
            self.members,
            lambda one: one.session.pricing.currency,
            lambda one: one.cost,
            lambda period: (period.pricing.price_per_kwh or 0.0) * period.pricing.pue,
        )

    @property
    def period(self) -> tuple[float, float]:
        """Wall times of the first start and of the last end."""
        starts = (one.summary.started_wall_s for one in self.members)
        return min(starts), max(one.session.ended_wall_s for one in self.members)

    @property
    def period_name(self) -> str:
        """month, or day where all sessions began within two months."""
        starts = [one.summary.started_wall_s for one in self.members]
        return "month" if max(starts) - min(starts) >= MONTHS_FROM_S else "day"

    @cached_property
    def groups(self) -> dict[str, tuple[Group, ...]]:
        """By project, notebook, machine, and month or day; each session is in one of each."""
        form = "%Y-%m" if self.period_name == "month" else "%Y-%m-%d"
        return {
            "project": self._grouped(lambda one: one.summary.project),
            "notebook": self._grouped(lambda one: one.summary.title),
            "machine": self._grouped(lambda one: one.session.host),
            self.period_name: self._grouped(
                lambda one: time.strftime(form, time.localtime(one.summary.started_wall_s)),
                in_time=True,
            ),
        }

    def _grouped(
        self, name: Callable[[Member], str | None], *, in_time: bool = False
    ) -> tuple[Group, ...]:
        """Those with most energy first, or in the order of time."""
        found: dict[str | None, list[Member]] = {}
        for one in self.members:
            found.setdefault(name(one), []).append(one)
        groups = [Group(key, tuple(each)) for key, each in found.items()]
        if in_time:
            return tuple(reversed(groups))
        return tuple(sorted(groups, key=_energy_of, reverse=True))

    @cached_property
    def ledger(self) -> tuple[Share, ...]:
        """The ledgers of all sessions, entry by entry: they add up to the sum of the sessions."""
        ledgers = [one.session.ledger.entries for one in self.members]
        return tuple(
            Share(
                name,
                sum(each[name].total_uj for each in ledgers),
                sum(each[name].seconds for each in ledgers),
            )
            for name in ledgers[0]
        )

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """By lifecycle stage, and last what has none: they add up to the sum of the sessions."""
        return joined(one.stages for one in self.members)

    @cached_property
    def findings(self) -> tuple[Kind, ...]:
        """By kind, that with the largest single finding first."""
        found: dict[str, list[tuple[Finding, Summary]]] = {}
        for one in self.members:
            for finding in one.findings:
                found.setdefault(finding.kind, []).append((finding, one.summary))
        kinds = []
        for kind, each in found.items():
            largest, where = max(each, key=lambda pair: pair[0].energy_uj)
            kinds.append(Kind(kind, len({id(one) for _, one in each}), largest, where))
        return tuple(sorted(kinds, key=lambda kind: kind.largest.energy_uj, reverse=True))

    @cached_property
    def strangers(self) -> frozenset[str]:
        """Sessions that ran at the same time on one of the machines and are not among these."""
        seen = {each.session for one in self.members for each in one.session.overlaps}
        return frozenset(seen - {one.summary.id for one in self.members})

    @property
    def ledger_sum_uj(self) -> int:
        """What ledger and stages add up to."""
        return self.totals.summed.total_uj or 0


def _energy_of(group: Group) -> int:
    return group.totals.summed.total_uj or 0


# --- grams and money ----------------------------------------------------------------------


def carbon(members: Sequence[Member]) -> tuple[Worth, ...]:
    """Grams of CO2e of those sessions that have a place on one basis throughout, by basis."""
    return _worths(
        members,
        lambda one: one.summary.co2_basis or "",
        lambda one: one.summary.co2_g,
        lambda period: (
            (period.intensity.g_per_kwh if period.intensity else 0.0) * period.pricing.pue
        ),
    )


def _worths(
    members: Sequence[Member],
    unit: Callable[[Member], str],
    value: Callable[[Member], float | None],
    per_kwh: Callable[[Period], float],
) -> tuple[Worth, ...]:
    found: dict[str, list[Member]] = {}
    for one in members:
        if value(one) is not None:
            found.setdefault(unit(one), []).append(one)
    worths = [
        Worth(
            name,
            len(each),
            sum(value(one) or 0.0 for one in each),
            _of_union(each, value, per_kwh),
            any(one.session.total.at_least for one in each),
        )
        for name, each in found.items()
    ]
    return tuple(sorted(worths, key=lambda worth: worth.sessions, reverse=True))


def _of_union(
    members: Sequence[Member],
    value: Callable[[Member], float | None],
    per_kwh: Callable[[Period], float],
) -> float | None:
    """The worth of the union in time, if sessions that share energy have one rate.

    Sessions of one rate are worth their union at this rate; a session whose rate has changed is
    worth what it is alone. That is the whole if the unions add up to the union of all.
    """
    if _union_uj(members) == sum(one.session.total.total_uj or 0 for one in members):
        return sum(value(one) or 0.0 for one in members)
    groups: dict[object, list[Member]] = {}
    for one in members:
        rates = {per_kwh(one.session.periods[index]) for index in one.session.total.by_period}
        groups.setdefault(rates.pop() if len(rates) == 1 else one.identity, []).append(one)
    unions = {rate: _union_uj(each) for rate, each in groups.items()}
    if sum(unions.values()) != _union_uj(members):
        return None
    return sum(
        uj_to_kwh(unions[rate]) * rate if isinstance(rate, float) else value(each[0]) or 0.0
        for rate, each in groups.items()
    )


def _union_uj(members: Iterable[Member]) -> int:
    return union(curve for one in members for curve in one.summary.curves).total_uj


# --- reading ------------------------------------------------------------------------------


def load(chosen: Chosen, revalue: Revalue = lambda session: session, watch: Watch = iter) -> Merged:
    """Read journals one after the other; one that cannot be read is named and left out.

    Args:
        chosen: of :func:`jupyter_green.sessions.merged.choose`.
        revalue: what is done to each session first.
        watch: gets the journals before any is read, and passes them on.

    Raises:
        JournalError: none of them can be read.
    """
    problems = list(chosen.problems)

    def readable() -> Iterator[Session]:
        for path in watch(chosen.paths):
            try:
                session = library.load(path)
            except JournalError as error:
                problems.append(named(path, error))
                continue
            yield revalue(session)

    members = Merged.of(_or_complaint(readable(), problems))
    return Merged(members.members, tuple(problems), members.repeated)


def _or_complaint(sessions: Iterator[Session], problems: Sequence[str]) -> Iterator[Session]:
    """The same sessions; where there is none, what was wrong with the journals."""
    empty = True
    for session in sessions:
        empty = False
        yield session
    if empty:
        raise JournalError("; ".join(problems[:3]) or "no session was given to merge")
