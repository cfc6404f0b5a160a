"""Energy by layer of a PyTorch module, as a session has recorded it: pure figures.

``measure_layers`` runs the layers, each pass as a span, and logs what a reader needs beside them
as metrics of the study. Here the same result is computed from that alone, so that a recorded
session tells it again.

A *pass* is either ``forward`` (without gradients) or ``training``: a forward pass that records
what gradients need, and the backward pass after it. Backward is told as the training pass less
the forward pass, for the layers and for the whole model alike. So forward and backward always
add up to what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from jupyter_green.errors import SettingError
from jupyter_green.insight import statistics
from jupyter_green.insight.findings import short
from jupyter_green.insight.repeated import LOOPS, loops_of
from jupyter_green.insight.windows import TRIAL, Logged
from jupyter_green.sessions.model import BELOW_RESOLUTION, STUDY, Metric, Session, Span
from jupyter_green.units import UJ_PER_J, format_share

LAYERS = "layers"
"""Type of the span around such a study; its label is what the model is called."""

FORWARD, TRAINING, COPY = "forward", "training", "copy"
"""What a run does, as the first word of its span's name. ``copy`` is there for layers that work
in place: they get a copy of their input, and what the copying takes is subtracted."""

CALLS, PARAMETERS = "calls of ", "parameters of "
"""Metrics of a layer whose names end in its name and in its type. ``step`` is the layer's number;
the whole model has none."""
GRADIENT, MODE = "gradient", "training mode"
FLOPS = {FORWARD: "flops forward", TRAINING: "flops training"}
FAILURE = "message of "
"""Metrics of a layer whose names say what a pass has raised: ``message of training: no memory``."""
NO_BACKWARD = "no backward pass: "
"""A metric of the whole model whose name says why there is none, though one was asked for."""
OWN_CODE = "containers with code of their own"
"""How many modules call layers and do something themselves: all but plain ``Sequential``."""
NOT_CALLED = "parameters not called: "
"""Metrics whose names end in modules that the pass did not call; a layer calls its own parts."""

MOST_NAMED = 8
ROUNDED = 0.005
"""By so much the layers may be above the whole, and shares of it still add up to 100 %."""


def name_of_run(pass_: str, name: str) -> str:
    """What the span of a run is called."""
    return f"{pass_} of {name}"


# --- figures ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Amount:
    """What one pass takes: means over runs. All energies are of the whole machine."""

    energy_j: float | None
    """Mean joules; None: not known."""
    deviation_j: float
    """Standard deviation between runs, in joules; 0 for a single run."""
    bound_j: float
    """Half-width of the interval that the counters' updates leave around a single run."""
    duration_s: float
    deviation_s: float
    runs: int
    missing: tuple[str, ...] = ()
    """Counters that could not be read throughout: the joules are lower bounds."""
    provenance: tuple[str, ...] = ()
    is_difference: bool = False
    """Of two amounts: what runs leave open of them may outweigh it."""

    @property
    def open_j(self) -> float:
        """What runs and counters leave open of the mean, in joules on each side."""
        return 2 * self.deviation_j / math.sqrt(self.runs) + self.bound_j

    @property
    def open_s(self) -> float:
        """What runs leave open of the mean, in seconds on each side."""
        return 2 * self.deviation_s / math.sqrt(self.runs)

    @property
    def below_resolution(self) -> bool:
        """Cannot be told from nothing: the counters' updates outweigh it, or, of a difference,
        what the runs leave open."""
        if self.energy_j is None:
            return False
        if self.is_difference and self.open_j >= self.energy_j:
            return True
        return self.bound_j >= BELOW_RESOLUTION * self.energy_j

    def minus(self, other: Amount) -> Amount:
        """The difference of two amounts that were measured independently."""
        known = self.energy_j is not None and other.energy_j is not None
        return Amount(
            energy_j=(self.energy_j or 0.0) - (other.energy_j or 0.0) if known else None,
            deviation_j=math.hypot(self.deviation_j, other.deviation_j),
            bound_j=self.bound_j + other.bound_j,
            duration_s=self.duration_s - other.duration_s,
            deviation_s=math.hypot(self.deviation_s, other.deviation_s),
            runs=min(self.runs, other.runs),
            missing=_merged(self.missing, other.missing),
            provenance=_merged(self.provenance, other.provenance),
            is_difference=True,
        )


def total(amounts: Iterable[Amount]) -> Amount | None:
    """The sum of amounts that were measured independently; None: there are none."""
    known = list(amounts)
    if not known:
        return None
    energies = [one.energy_j for one in known if one.energy_j is not None]
    return Amount(
        energy_j=sum(energies) if len(energies) == len(known) else None,
        deviation_j=math.hypot(*(one.deviation_j for one in known)),
        # The updates of one counter may err to the same side each time.
        bound_j=sum(one.bound_j for one in known),
        duration_s=sum(one.duration_s for one in known),
        deviation_s=math.hypot(*(one.deviation_s for one in known)),
        runs=min(one.runs for one in known),
        missing=_merged(*(one.missing for one in known)),
        provenance=_merged(*(one.provenance for one in known)),
        is_difference=any(one.is_difference for one in known),
    )


def _merged(*names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({name for group in names for name in group}))


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a part of a model costs in one pass through the model."""

    name: str
    type: str
    calls: int
    """How often one pass through the model calls it."""
    parameters: int
    forward: Amount | None
    """Without gradients; None: not measured."""
    training: Amount | None
    """Forward and backward with gradients; None: not measured."""
    forward_flops: int | None
    """2 for each multiply-add, of convolutions, matrix products and attention; None: unknown."""
    training_flops: int | None
    failed: Mapping[str, str] = field(default_factory=dict)
    """By pass the class of the error that it raised, and its message: ``ValueError: no``."""

    @property
    def backward(self) -> Amount | None:
        """The training pass less the forward pass: gradients, and recording what they need."""
        if self.training is None or self.forward is None:
            return None
        return self.training.minus(self.forward)

    def amount(self, pass_: str) -> Amount | None:
        """What a pass of this kind takes."""
        return self.training if pass_ == TRAINING else self.forward

    def flops(self, pass_: str) -> int | None:
        """Counted FLOPs of a pass of this kind."""
        return self.training_flops if pass_ == TRAINING else self.forward_flops

    def energy_per_gflop_j(self, pass_: str) -> float | None:
        """Joules per 10^9 counted FLOPs; None: none were counted, or too little energy."""
        amount, flops = self.amount(pass_), self.flops(pass_)
        if amount is None or not flops or amount.energy_j is None or amount.below_resolution:
            return None
        return amount.energy_j / (flops / 1e9)


@dataclass(frozen=True, kw_only=True)
class Layer(Costs):
    """One layer: a module that calls no other module in its forward pass."""

    number: int
    """Its place in the order in which layers are first called."""
    gradient: bool
    """Something in it needs gradients: it has a backward pass."""
    in_place: bool
    """It changes its input: worked on a copy, whose own cost has been subtracted."""


@dataclass(frozen=True, kw_only=True)
class LayerType(Costs):
    """All layers of one type together; the name is the type's."""

    layers: int


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Energy by layer: everything that was found."""

    label: str
    whole: Costs
    """The whole model, measured by itself."""
    layers: tuple[Layer, ...]
    """In the order in which they are first called."""
    main: str
    """The pass that shares are of: ``training`` where the model's backward pass is known."""
    trains: bool
    """The model was in training mode: dropout and batch norm worked as in training."""
    notes: tuple[str, ...]
    """What a reader must know of the counters."""
    no_backward: str = ""
    """Why there is no backward pass, though one was asked for; empty: there is, or none was."""
    own_code: bool = True
    """Something may be done between layers: a module that calls them has code of its own."""
    not_called: Mapping[str, int] = field(default_factory=dict)
    """Parameters of modules that the pass did not call, by name."""

    @property
    def excess(self) -> float | None:
        """How many times the whole model's pass its layers take together, where that is more than
        all of it: repeated by themselves they are no parts of it. None: it is not."""
        whole, layers = self.whole.amount(self.main), self.sum(self.main)
        if whole is None or layers is None or not self.tells(whole):
            return None
        times = self.value(layers) / self.value(whole)
        return times if times >= 1 + ROUNDED else None

    @property
    def is_one_layer(self) -> bool:
        """The model is a layer itself, and there is nothing around it."""
        return len(self.layers) == 1 and self.layers[0].name == self.whole.type

    @property
    def modelled(self) -> bool:
        """A model of the processor is in the joules: shares are shares of time."""
        return any("modelled" in one.provenance for one in self._amounts())

    @property
    def missing(self) -> tuple[str, ...]:
        """Counters that could not be read throughout: joules are lower bounds."""
        return _merged(*(one.missing for one in self._amounts()))

    @property
    def by_time(self) -> bool:
        """Shares are of time: the joules are modelled, or not all of them are known."""
        unknown = any(one.energy_j is None for one in self._amounts())
        return unknown or self.modelled or bool(self.missing)

    def _amounts(self) -> Iterator[Amount]:
        for part in (self.whole, *self.layers):
            yield from (one for one in (part.forward, part.training) if one is not None)

    @property
    def types(self) -> tuple[LayerType, ...]:
        """The layers by type, the one with the largest share first."""
        names = dict.fromkeys(layer.type for layer in self.layers)
        found = [_of_type(name, [one for one in self.layers if one.type == name]) for name in names]
        return tuple(sorted(found, key=lambda one: -self.value(one.amount(self.main))))

    def value(self, amount: Amount | None) -> float:
        """What shares are of: joules, or seconds; 0 where nothing was measured."""
        if amount is None:
            return 0.0
        return amount.duration_s if self.by_time else (amount.energy_j or 0.0)

    def open(self, amount: Amount) -> float:
        """What is left open of :meth:`value`, on each side."""
        return amount.open_s if self.by_time else amount.open_j

    def share(self, amount: Amount | None) -> float | None:
        """Share of the whole model's pass, of one; None where either is not known."""
        whole = self.whole.amount(self.main)
        if amount is None or whole is None or not (self.tells(whole) and self.tells(amount)):
            return None
        return self.value(amount) / self.value(whole)

    def share_of_sum(self, amount: Amount | None) -> float | None:
        """Share of what the layers take together in the main pass; None where it says nothing."""
        layers = self.sum(self.main)
        if amount is None or layers is None or not (self.tells(layers) and self.tells(amount)):
            return None
        return self.value(amount) / self.value(layers)

    def tells(self, amount: Amount) -> bool:
        """Its :meth:`value` says something: it is above 0, and not below the resolution."""
        return self.value(amount) > 0 and (self.by_time or not amount.below_resolution)

    def is_apart(self, first: Costs, second: Costs) -> bool:
        """The first takes more than the second, by more than runs and counters leave open."""
        one, other = first.amount(self.main), second.amount(self.main)
        if one is None or other is None:
            return False
        return self.value(one) - self.open(one) > self.value(other) + self.open(other)

    def sum(self, pass_: str) -> Amount | None:
        """What the layers take together; without those that could not be measured."""
        return total(one for layer in self.layers if (one := layer.amount(pass_)) is not None)

    def difference(self, pass_: str) -> Amount | None:
        """The whole model's pass less the sum of its layers; None where one is not known."""
        whole, layers = self.whole.amount(pass_), self.sum(pass_)
        if whole is None or layers is None or any(pass_ in one.failed for one in self.layers):
            return None
        return whole.minus(layers)

    def outside_flops(self, pass_: str) -> int | None:
        """FLOPs that were counted in the whole model and in no layer."""
        counts = [layer.flops(pass_) for layer in self.layers]
        whole = self.whole.flops(pass_)
        if whole is None or any(count is None for count in counts):
            return None
        return max(0, whole - sum(count or 0 for count in counts))

    def layer(self, name: str) -> Layer:
        """The layer of this name.

        Raises:
            KeyError: there is none.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)


def _of_type(name: str, layers: Sequence[Layer]) -> LayerType:
    return LayerType(
        name=name,
        type=name,
        layers=len(layers),
        calls=sum(layer.calls for layer in layers),
        parameters=sum(layer.parameters for layer in layers),
        forward=total(one.forward for one in layers if one.forward is not None),
        training=total(one.training for one in layers if one.training is not None),
        forward_flops=_added(layer.forward_flops for layer in layers),
        training_flops=_added(layer.training_flops for layer in layers),
        failed={pass_: error for layer in layers for pass_, error in layer.failed.items()},
    )


def _added(counts: Iterable[int | None]) -> int | None:
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)


# --- from the journal ---------------------------------------------------------------------


def studies_of(session: Session) -> tuple[Figures, ...]:
    """What all finished studies of a session have found, in their order."""
    studies = [span for span in session.spans if span.type == LAYERS and span.status == "ok"]
    return tuple(_Reading(session, study).figures() for study in studies)


def of(session: Session, label: str | None = None) -> Figures:
    """What the last finished study of a session has found.

    Args:
        label: of the study; None: whichever was the last.

    Raises:
        SettingError: there is no such study.
    """
    studies = [span for span in session.spans if span.type == LAYERS and span.status == "ok"]
    named = [span for span in studies if label is None or span.tags.label == label]
    if not named:
        there = ", ".join(dict.fromkeys(repr(short(span.tags.label or "")) for span in studies))
        wanted = "" if label is None else f" of {short(label)!r}"
        raise SettingError(
            f"no finished study of layers{wanted} is in this session: "
            + (f"there are {there}" if there else "measure_layers() makes one")
        )
    return _Reading(session, max(named, key=lambda span: span.started_s)).figures()


def of_span(session: Session, number: int) -> Figures:
    """What one study has found.

    Raises:
        KeyError: there is no such span, or it is open.
    """
    return _Reading(session, session.span(number)).figures()


Subject = int | None
"""A layer's number; None: the whole model."""


class _Reading:
    """One study in its session."""

    def __init__(self, session: Session, study: Span) -> None:
        self._session = session
        self._study = study
        self._logged = Logged(session)
        self._facts: dict[Subject, dict[str, float]] = {}
        for metric in self._told(study):
            if metric.name != LOOPS:
                self._facts.setdefault(_subject(metric), {})[metric.name] = metric.value
        self._runs: dict[tuple[Subject, str], list[tuple[Span, int]]] = {}
        self._failed: dict[Subject, dict[str, str]] = {}
        for span in session.spans:
            if span.parent == study.span:
                self._take(span)

    def _told(self, span: Span) -> list[Metric]:
        return [one for one in self._logged.metrics(span) if one.source == STUDY]

    def _take(self, span: Span) -> None:
        told = [one for one in self._told(span) if one.name == LOOPS]
        if not told:
            return
        subject, pass_ = _subject(told[-1]), span.name.partition(" ")[0]
        if span.status != "ok":
            self._failed.setdefault(subject, {})[pass_] = span.error or span.status
        elif span.type == TRIAL:
            own = self._runs.setdefault((subject, pass_), [])
            own.append((span, loops_of(told)))

    def figures(self) -> Figures:
        numbers = sorted(number for number in self._facts if number is not None)
        whole = self._costs(None)
        return Figures(
            label=self._study.tags.label or "",
            whole=whole,
            layers=tuple(map(self._layer, numbers)),
            main=TRAINING if whole.training is not None else FORWARD,
            trains=bool(self._facts.get(None, {}).get(MODE)),
            notes=tuple(self._notes()),
            no_backward=_text(self._facts.get(None, {}), NO_BACKWARD),
            # Earlier sessions do not tell it.
            own_code=bool(self._facts.get(None, {}).get(OWN_CODE, 1)),
            not_called={
                name.removeprefix(NOT_CALLED): int(value)
                for name, value in self._facts.get(None, {}).items()
                if name.startswith(NOT_CALLED)
            },
        )

    def _layer(self, number: int) -> Layer:
        costs = self._costs(number)
        gradient = bool(self._facts[number].get(GRADIENT))
        if self._trains and not gradient:
            # Nothing is recorded and nothing follows: its part of the pass is its forward pass.
            costs = replace(
                costs,
                training=costs.forward,
                training_flops=costs.forward_flops,
                failed={pass_: one for one in costs.failed.values() for pass_ in FLOPS},
            )
        return Layer(
            **vars(costs), number=number, gradient=gradient, in_place=(number, COPY) in self._runs
        )

    @property
    def _trains(self) -> bool:
        """There is a backward pass."""
        return bool(self._facts.get(None, {}).get(GRADIENT))

    def _costs(self, subject: Subject) -> Costs:
        facts = self._facts.get(subject, {})
        name, calls = _ending(facts, CALLS)
        type_, parameters = _ending(facts, PARAMETERS)
        failed = {
            pass_: ": ".join(filter(None, (error, _text(facts, f"{FAILURE}{pass_}: "))))
            for pass_, error in self._failed.get(subject, {}).items()
        }
        # Without the copying nothing can be told of what works in place.
        failed = {pass_: error for pass_, error in failed.items() if pass_ != COPY} or {
            pass_: error for error in failed.values() for pass_ in FLOPS
        }
        return Costs(
            name=name,
            type=type_,
            calls=calls,
            parameters=parameters,
            forward=self._less_copying(subject, FORWARD),
            training=self._less_copying(subject, TRAINING),
            forward_flops=_whole_number(facts.get(FLOPS[FORWARD])),
            training_flops=_whole_number(facts.get(FLOPS[TRAINING])),
            failed=failed,
        )

    def _less_copying(self, subject: Subject, pass_: str) -> Amount | None:
        amount, copying = self._amount(subject, pass_), self._amount(subject, COPY)
        return amount if amount is None or copying is None else amount.minus(copying)

    def _amount(self, subject: Subject, pass_: str) -> Amount | None:
        """None where nothing was measured, or a run of it has failed."""
        runs = self._runs.get((subject, pass_), [])
        if not runs or pass_ in self._failed.get(subject, {}):
            return None
        energies = [
            span.energy.energy_j / loops for span, loops in runs if span.energy.energy_j is not None
        ]
        durations = [span.duration_s / loops for span, loops in runs]
        return Amount(
            energy_j=statistics.mean(energies) if len(energies) == len(runs) else None,
            deviation_j=_deviation(energies),
            bound_j=max(span.energy.lag_uj / loops for span, loops in runs) / UJ_PER_J,
            duration_s=statistics.mean(durations),
            deviation_s=_deviation(durations),
            runs=len(runs),
            missing=_merged(*(span.energy.missing for span, _ in runs)),
            provenance=_merged(*(span.energy.provenance for span, _ in runs)),
        )

    def _notes(self) -> Iterator[str]:
        session = self._session
        spans = [span for runs in self._runs.values() for span, _ in runs]
        used = {name for span in spans for name, uj in span.energy.uj.items() if uj}
        for name, info in session.counters.items():
            if info.counted and name in used and info.provenance == "modelled":
                band = f", ± {format_share(info.band)}" if info.band else ""
                yield f"{name} is modelled: {info.assumption or 'no sensor can be read'}{band}"
        missing = _merged(*(span.energy.missing for span in spans))
        if missing:
            yield f"{', '.join(missing)} could not be read throughout: the joules are lower bounds"
        if any(overlap.seen_s < self._study.finished_s for overlap in session.overlaps):
            yield "another session read the same counters at the time"


def _subject(metric: Metric) -> Subject:
    return None if metric.step is None else int(metric.step)


def _ending(facts: Mapping[str, float], begin: str) -> tuple[str, int]:
    """What follows in the name of a fact that begins so, and its value."""
    for name, value in facts.items():
        if name.startswith(begin):
            return name.removeprefix(begin), int(value)
    return "", 0


def _text(facts: Mapping[str, float], begin: str) -> str:
    """What follows in the name of a fact that begins so; empty: there is none."""
    return next((name.removeprefix(begin) for name in facts if name.startswith(begin)), "")


def _whole_number(value: float | None) -> int | None:
    return None if value is None or not math.isfinite(value) else int(value)


def _deviation(values: Sequence[float]) -> float:
    return statistics.deviation(values) if len(values) > 1 else 0.0
