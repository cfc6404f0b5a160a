"""Energy by layer as sentences, as text, as Markdown, as HTML and as a data frame.

No sentence speaks of energy where it is modelled: joules are then seconds times assumed watts,
and a share of them is a share of time. Names of layers are the user's: made harmless here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from jupyter_green.insight.layers import (
    FORWARD,
    TRAINING,
    Amount,
    Costs,
    Figures,
    Layer,
    LayerType,
)
from jupyter_green.report.html import parts as html_parts
from jupyter_green.report.inert import markdown, short
from jupyter_green.report.studies import layered_drawn
from jupyter_green.report.studies.study_table import StudyTable
from jupyter_green.units import (
    UJ_PER_J,
    format_duration,
    format_energy,
    format_energy_with_bound,
    format_number,
    format_share,
)

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 40
"""Layers that are shown: those with the largest shares. The data frame has all of them."""
MOST_NAMED = 5
LONGEST_NAME = 60
LONGEST_SENTENCE = 1000
UNRESOLVED = "below resolution"
UNKNOWN = "-"
WORDS = ("Layer", "Type", "Remarks")
"""Columns that begin at the left."""
PASSES = {FORWARD: "forward pass", TRAINING: "training pass (forward and backward)"}
LONGEST_MESSAGE = 160
"""Of an error, in a sentence."""
OUTSIDE = (
    "that may be {outside}memory: repeated by itself, a layer finds its weights, its input and "
    "room for its results in the caches{kept}"
)
ALONE = (
    "the model is a layer itself, so that this may be {outside}what each run found in caches and "
    "memory"
)
BY_THEMSELVES = (
    "by themselves the layers take more: each repeat may pay for a beginning of its own (a call"
    "{start}), which in the whole model is paid once or hidden behind other work"
)
COUNTED = (
    "FLOPs are counted by torch.utils.flop_counter: 2 for each multiply-add of convolutions, "
    "matrix products and attention, and nothing else"
)


# --- sentences ----------------------------------------------------------------------------


def sentence(result: Figures) -> str:
    """What the figures allow one to say: the type with the largest share, and backward."""
    parts = [_forward_only(result), _lead(result), _backward(result)]
    if result.modelled:
        parts.append("the joules are modelled, seconds times assumed watts: shares are of time")
    elif result.missing:
        parts.append(f"{', '.join(map(short, result.missing))} missing: shares are of time")
    return "; ".join(part for part in parts if part)


def _forward_only(result: Figures) -> str:
    """Why there is no backward pass, where one was asked for."""
    error = result.whole.failed.get(TRAINING)
    if error is not None:
        return f"forward only, as the backward pass failed ({_inert_error(error)})"
    return f"forward only, as {short(result.no_backward)}" if result.no_backward else ""


def _inert_error(error: str) -> str:
    return short(error, LONGEST_MESSAGE)


def _lead(result: Figures) -> str:
    of = f"of the {_quantity(result)} of a {PASSES[result.main]}"
    share_of = result.share
    if result.excess is not None:
        # They are no parts of the whole: shares of it would add up to more than 100 %.
        share_of, of = result.share_of_sum, "of the layers' sum"
    shares = [(one, share_of(one.amount(result.main))) for one in result.types]
    known = [(one, share) for one, share in shares if share is not None]
    whole = result.whole.amount(result.main)
    if not known and whole is not None and not result.tells(whole):
        return f"{UNRESOLVED}: the runs are too short for the counters; give more seconds"
    if not known:
        return f"the whole model's {PASSES[result.main]} is not known: no share is told"
    first, share = known[0]
    takes = f"take{'s' * (first.layers == 1)} {format_share(share)} {of}"
    told = f"{_excess(result)}{_layers_of(first)} {takes}"
    if len(known) == 1:
        return told if result.excess is None else _excess(result).removesuffix(": ")
    second, next_share = known[1]
    if result.is_apart(first, second):
        return f"{told}, {short(second.type, LONGEST_NAME)} {format_share(next_share)}"
    return (
        f"{told}, and cannot be told apart from {short(second.type, LONGEST_NAME)} "
        f"({format_share(next_share)})"
    )


def _excess(result: Figures) -> str:
    """That the layers are no parts of the whole, with what they take together; empty: they are."""
    if result.excess is None:
        return ""
    count = len(result.layers)
    who = "themselves, the layers together take" if count > 1 else "itself, the layer takes"
    difference = result.difference(result.main)
    is_open = difference and abs(result.value(difference)) <= result.open(difference)
    return (
        f"repeated by {who} {format_number(result.excess, 3)} times the {_quantity(result)} of the "
        f"whole model's {PASSES[result.main]}"
        f"{', which runs and counters leave open' if is_open else ''}: "
    )


def _layers_of(one: LayerType) -> str:
    count = f"{one.layers} layers" if one.layers > 1 else "1 layer"
    return f"{short(one.type, LONGEST_NAME)} ({count})"


def _backward(result: Figures) -> str:
    forward, backward = result.whole.forward, result.whole.backward
    if forward is None or backward is None or result.value(forward) <= 0:
        return ""
    if result.value(backward) <= result.open(backward):
        return ""
    ratio = format_number(result.value(backward) / result.value(forward), 2)
    times = "" if ratio == "1" else f"{ratio} times "
    as_much = "as long" if result.by_time else "as much energy"
    return f"the backward pass takes {times}{as_much} as the forward pass"


def notes(result: Figures) -> tuple[str, ...]:
    """What the layers leave of the whole and why, and what limits the trust in the figures."""
    return tuple(_notes(result))


def _notes(result: Figures) -> Iterator[str]:
    yield from (_rest(result, pass_) for pass_ in PASSES if result.whole.amount(pass_))
    yield from _outside(result)
    mode = (
        "training mode: dropout and batch norm work as in training"
        if result.trains
        else "evaluation mode"
    )
    yield f"the model was in {mode}"
    for words, names in (
        ("below resolution: longer or more runs (seconds=, runs=) may tell", _unresolved(result)),
        ("works in place: what copying its input takes is subtracted", _in_place(result)),
        ("has no backward pass: nothing in it needs gradients", _without_gradient(result)),
    ):
        if names:
            yield f"{_named(names)}: {words}"
    yield from (_failed(one) for one in (*result.layers, result.whole) if one.failed)
    if any(one.flops(result.main) for one in (result.whole, *result.layers)):
        yield COUNTED
    yield from result.notes


def _rest(result: Figures, pass_: str) -> str:
    """The sum of the layers beside the whole, and what the difference is."""
    whole, layers = result.whole.amount(pass_), result.sum(pass_)
    difference = result.difference(pass_)
    title = PASSES[pass_]
    if whole is None or layers is None or difference is None or result.value(whole) <= 0:
        return f"{title}: not all of it could be measured, so that nothing is added up"
    share = format_share(result.value(layers) / result.value(whole))
    begin = (
        f"{title}: the layers add up to {_value(result, layers)} of the whole model's "
        f"{_value(result, whole)} ({share})"
    )
    rest = result.value(difference)
    if abs(rest) <= result.open(difference):
        return f"{begin}; runs and counters leave that much open"
    trains = pass_ == TRAINING
    if rest > 0:
        return f"{begin}; {_why_more(result, trains)}"
    if result.is_one_layer:
        return f"{begin}; {ALONE.format(outside='')}"
    return f"{begin}; {BY_THEMSELVES.format(start=', the start of a backward pass' * trains)}"


def _why_more(result: Figures, trains: bool) -> str:
    """What may be in the whole and in no layer: only what this model can have."""
    own = "what is done outside layers (functions, the code of containers), " * result.own_code
    outside = own + "the loss, " * trains
    outside = f"{outside.removesuffix(', ')}, or " if outside else ""
    if result.is_one_layer:
        return ALONE.format(outside=outside.replace(", or", " or"))
    kept = (
        ", while the whole model keeps what its backward pass needs, in memory that it has to "
        "ask the system for"
    )
    return OUTSIDE.format(outside=outside, kept=kept * trains)


def _outside(result: Figures) -> Iterator[str]:
    flops, whole = result.outside_flops(result.main), result.whole.flops(result.main)
    if flops and whole:
        yield f"{format_share(flops / whole)} of the FLOPs that were counted lie outside layers"
    parameters = sum(layer.parameters for layer in result.layers)
    if parameters < result.whole.parameters:
        yield _without_layer(result, result.whole.parameters - parameters)
    elif parameters > result.whole.parameters:
        yield "some layers share parameters, which count for each of them"


def _without_layer(result: Figures, count: int) -> str:
    begin = f"{count:,} parameters belong to"
    if not result.not_called:
        return f"{begin} no layer"
    names = _named(tuple(result.not_called))
    others = "" if sum(result.not_called.values()) == count else ", or to no layer"
    return f"{begin} layers that this pass did not call ({names}){others}"


def _unresolved(result: Figures) -> list[str]:
    return [
        layer.name
        for layer in result.layers
        if any(one and one.below_resolution for one in (layer.forward, _backward_of(layer)))
    ]


def _in_place(result: Figures) -> list[str]:
    return [layer.name for layer in result.layers if layer.in_place]


def _without_gradient(result: Figures) -> list[str]:
    if result.main != TRAINING:
        return []
    return [layer.name for layer in result.layers if not layer.gradient]


def _named(names: Sequence[str]) -> str:
    told = ", ".join(short(name, LONGEST_NAME) for name in names[:MOST_NAMED])
    more = len(names) - MOST_NAMED
    return f"{told} and {more} more" if more > 0 else told


def _failed(one: Costs) -> str:
    told = ", ".join(
        f"{PASSES.get(pass_, pass_)} ({_inert_error(error)})" for pass_, error in one.failed.items()
    )
    return f"{short(one.name, LONGEST_NAME)} failed when it was repeated: {told}"


def _quantity(result: Figures) -> str:
    return "time" if result.by_time else "energy"


def _value(result: Figures, amount: Amount) -> str:
    value = result.value(amount)
    return format_duration(value) if result.by_time else format_energy(value * UJ_PER_J)


# --- the tables ---------------------------------------------------------------------------


def _layers_table(result: Figures) -> StudyTable:
    shown = _shown(result)
    lines = [_line(result, layer, _remarks(result, layer)) for layer in shown]
    more = len(result.layers) - len(shown)
    rest = [(f"+ {more} with smaller shares",)] if more else []
    return _without_empty(_titles(result, "Layer"), lines, [*rest, *_sums(result)])


def _types_table(result: Figures) -> StudyTable:
    lines = [_line(result, one, str(one.layers)) for one in result.types]
    return _without_empty(_titles(result, "Type"), lines, [])


def _shown(result: Figures) -> list[Layer]:
    """In the order of the model."""
    largest = sorted(result.layers, key=lambda one: -result.value(one.amount(result.main)))
    return sorted(largest[:MOST_ROWS], key=lambda one: one.number)


def _titles(result: Figures, first: str) -> tuple[str, ...]:
    return (
        first,
        "Type" if first == "Layer" else "",
        "Calls",
        "Forward",
        "Backward",
        "Time",
        _share_title(result),
        "Counters ±",
        "FLOPs",
        "per GFLOP",
        "Parameters",
        "Remarks" if first == "Layer" else "Layers",
    )


def _share_title(result: Figures) -> str:
    """What is more than the whole is no share of it."""
    quantity = _quantity(result)
    return f"Share of {quantity}" if result.excess is None else f"{quantity.title()} / whole"


def _line(result: Figures, one: Costs, remarks: str) -> tuple[str, ...]:
    amount, main = one.amount(result.main), result.main
    flops, per_gflop = one.flops(main), one.energy_per_gflop_j(main)
    share = result.share(amount)
    return (
        short(one.name, LONGEST_NAME) or "(no name)",
        short(one.type, LONGEST_NAME) if one.type != one.name else "",
        str(one.calls) if any(layer.calls > 1 for layer in result.layers) else "",
        _energy(one.forward),
        _energy(_backward_of(one)),
        UNKNOWN if amount is None else format_duration(amount.duration_s),
        UNKNOWN if share is None else format_share(share),
        _counters(amount),
        UNKNOWN if flops is None else _flops(flops),
        UNKNOWN if per_gflop is None else format_energy(per_gflop * UJ_PER_J),
        f"{one.parameters:,}",
        remarks,
    )


def _backward_of(one: Costs) -> Amount | None:
    """None for a layer without one, whose training pass is its forward pass."""
    return None if isinstance(one, Layer) and not one.gradient else one.backward


def _sums(result: Figures) -> Iterator[tuple[str, ...]]:
    whole, main = result.whole, result.main
    layers = _pair(result.sum(FORWARD), result.sum(TRAINING))
    rest = _pair(result.difference(FORWARD), result.difference(TRAINING))
    for name, (forward, backward), amount in (
        ("sum of the layers", layers, result.sum(main)),
        ("whole model", (whole.forward, whole.backward), whole.amount(main)),
        ("difference", rest, result.difference(main)),
    ):
        write = _signed if name == "difference" else _energy
        share = result.share(result.sum(main) if name == "difference" else amount)
        if share is not None and name == "difference":
            share = None if amount is None else 1 - share
        flops = whole.flops(main) if name == "whole model" else None
        yield (
            name,
            "",
            "",
            write(forward),
            write(backward),
            UNKNOWN if amount is None else format_duration(amount.duration_s),
            UNKNOWN if share is None else format_share(share),
            "" if name == "difference" else _counters(amount),
            "" if flops is None else _flops(flops),
            "",
            f"{whole.parameters:,}" if name == "whole model" else "",
            "",
        )


def _pair(forward: Amount | None, training: Amount | None) -> tuple[Amount | None, Amount | None]:
    """Forward and backward of the two that were measured."""
    known = forward is not None and training is not None
    return forward, training.minus(forward) if known and forward and training else None


def _remarks(result: Figures, layer: Layer) -> str:
    # The message is in the notes.
    classes = {pass_: error.partition(":")[0] for pass_, error in layer.failed.items()}
    parts = [f"{pass_} failed: {short(error, 40)}" for pass_, error in classes.items()]
    if layer.in_place:
        parts.append("in place")
    if result.main == TRAINING and not layer.gradient:
        parts.append("no gradients")
    return ", ".join(parts)


def _energy(amount: Amount | None) -> str:
    if amount is None or amount.energy_j is None:
        return UNKNOWN
    if amount.below_resolution:
        return UNRESOLVED
    energy_uj = amount.energy_j * UJ_PER_J
    if amount.missing:
        return f"≥ {format_energy(energy_uj)}"
    if amount.runs == 1:
        return format_energy(energy_uj)
    return format_energy_with_bound(energy_uj, amount.deviation_j * UJ_PER_J)


def _signed(amount: Amount | None) -> str:
    """Of a difference, which may be of either sign."""
    if amount is None or amount.energy_j is None or amount.missing:
        return UNKNOWN
    sign = "+" if amount.energy_j > 0 else ""
    return f"{sign}{format_energy(amount.energy_j * UJ_PER_J)}"


def _counters(amount: Amount | None) -> str:
    """The bound as a share of the energy, or that it outweighs it."""
    if amount is None or amount.energy_j is None:
        return UNKNOWN
    if amount.below_resolution:
        return UNRESOLVED
    return format_share(amount.bound_j / amount.energy_j)


def _flops(count: int) -> str:
    for size, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{format_number(count / size)} {name}"
    return str(count)


def _without_empty(
    titles: Sequence[str], lines: Sequence[Sequence[str]], sums: Iterable[Sequence[str]]
) -> StudyTable:
    below = [(*one, *[""] * (len(titles) - len(one))) for one in sums]
    words = [place for place, title in enumerate(titles) if title in WORDS]
    return StudyTable.of(titles, [*lines, *below], words, len(below))


def _tables(result: Figures) -> list[StudyTable]:
    """Of types only where some hold several layers."""
    by_type = len(result.types) < len(result.layers)
    return [*([_types_table(result)] if by_type else []), _layers_table(result)]


def _headline(result: Figures) -> str:
    amounts = [part.amount(result.main) for part in (result.whole, *result.layers)]
    amount = next((one for one in amounts if one is not None), None)
    runs = amount.runs if amount else 0
    count = len(result.layers)
    parts = [
        short(result.label, LONGEST_NAME) or "(no name)",
        f"{count} layer{'s' * (count != 1)}",
        f"one {PASSES[result.main]}",
        f"mean ± std. dev. of {runs} run{'s' * (runs != 1)}",
        " + ".join(amount.provenance) if amount else "",
    ]
    return " · ".join(part for part in parts if part)


def _below(result: Figures) -> list[str]:
    return [short(one, LONGEST_SENTENCE) for one in notes(result)]


# --- text and Markdown --------------------------------------------------------------------


def render(result: Figures) -> str:
    """The result as text, the sentence first."""
    parts = [_headline(result), sentence(result), ""]
    for table in _tables(result):
        parts += [*table.text, ""]
    return "\n".join([*parts, *(f"- {note}" for note in _below(result))])


def render_markdown(result: Figures) -> str:
    """The result as Markdown, for a pull request."""
    tables = [table.markdown for table in _tables(result)]
    told = "\n".join(f"- {markdown(note)}" for note in _below(result))
    return "\n\n".join([markdown(_headline(result)), markdown(sentence(result)), *tables, told])


# --- HTML for the output of a cell --------------------------------------------------------

_ROOT = "font-size:13px;line-height:1.4;max-width:72em;font-variant-numeric:tabular-nums"
_SMALL = "font-size:11px;opacity:.75"


def fragment(result: Figures) -> str:
    """Sentence, drawing and tables: no script, no style sheet, colours of text inherited."""
    told = "".join(f'<li style="margin:2px 0">{_inert(one)}</li>' for one in _below(result))
    return (
        f'<div style="{_ROOT}"><div style="opacity:.7">{_inert(_headline(result))}</div>'
        f'<div style="font-weight:600;margin:2px 0 8px">{_inert(sentence(result))}</div>'
        f'<div style="max-width:{layered_drawn.WIDTH}px">'
        f"{layered_drawn.drawing(result, _shown(result))}</div>"
        f"{''.join(table.html for table in _tables(result))}"
        f'<ul style="margin:8px 0 0;padding-left:18px;{_SMALL}">{told}</ul></div>'
    )


def _inert(line: str) -> str:
    return f"<bdi>{escape(line)}</bdi>"


# --- the HTML report ----------------------------------------------------------------------


def parts(result: Figures) -> Iterator[str]:
    """The result as parts of the HTML report, where nothing may have a style of its own."""
    yield f"<p>{html_parts.text(sentence(result), LONGEST_SENTENCE)}</p>"
    drawn = layered_drawn.drawing(result, _shown(result))
    yield f'<div class="chart">{drawn}</div>' if drawn else ""
    for table in _tables(result):
        yield table.part(f"Energy by {table.titles[0].lower()}")
    notes = (_headline(result), *_below(result))
    yield html_parts.bullets(html_parts.text(note, LONGEST_SENTENCE) for note in notes)


# --- a data frame -------------------------------------------------------------------------

AmountOf = Callable[[Costs], Amount | None]
AMOUNTS: dict[str, AmountOf] = {
    FORWARD: lambda one: one.forward,
    "backward": _backward_of,
    TRAINING: lambda one: one.training,
}


def dataframe(result: Figures, rows: Sequence[Costs]) -> pd.DataFrame:
    """One row each. What is not known is NaN; what is below resolution says so in a column."""
    import pandas as pd  # noqa: PLC0415  (loads on use)

    return pd.DataFrame.from_records([_record(result, one) for one in rows])


def _record(result: Figures, one: Costs) -> dict[str, Any]:
    record: dict[str, Any] = {"name": one.name}
    if isinstance(one, LayerType):
        record["layers"] = one.layers
    else:
        record["type"] = one.type
    record |= {"calls": one.calls, "parameters": one.parameters}
    for name, of in AMOUNTS.items():
        amount = of(one)
        record |= {
            f"{name}_energy_j": _or_nan(amount and amount.energy_j),
            f"{name}_deviation_j": _or_nan(amount and amount.deviation_j),
            f"{name}_bound_j": _or_nan(amount and amount.bound_j),
            f"{name}_duration_s": _or_nan(amount and amount.duration_s),
            f"{name}_below_resolution": bool(amount and amount.below_resolution),
        }
    amount = one.amount(result.main)
    return record | {
        f"share_of_{_quantity(result)}": _or_nan(result.share(amount)),
        "forward_flops": _or_nan(one.forward_flops),
        "training_flops": _or_nan(one.training_flops),
        "energy_per_gflop_j": _or_nan(one.energy_per_gflop_j(result.main)),
        "failed": ", ".join(f"{pass_}: {error}" for pass_, error in one.failed.items()),
        "missing": ", ".join(amount.missing) if amount else "",
        "provenance": " + ".join(amount.provenance) if amount else "",
    }


def _or_nan(value: Any) -> float:
    return math.nan if value is None else float(value)
