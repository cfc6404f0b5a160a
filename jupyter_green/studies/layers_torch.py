"""Looks at one pass through a PyTorch module, and repeats parts of it. Imports no PyTorch itself.

The calls of modules are seen by standing in for ``torch.nn.Module.__call__`` during one pass, as
``torch.fx`` does. Hooks would not do: with hooks on its parts a ``TransformerEncoderLayer`` leaves
its fast path, and what was looked at would not be what is measured.
"""

from __future__ import annotations

import random
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from jupyter_green import optional
from jupyter_green.errors import SettingError

INSTALL = "torch --index-url https://download.pytorch.org/whl/cpu"
"""For pip: without the index it is the build for GPUs, of some gigabytes."""
PARAMETRIZATIONS = "parametrizations"
"""Under this name a module keeps what computes its weights: a part of it, not layers of its own."""
LONGEST_MESSAGE = 300
"""Of an error, as it is recorded."""

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Loss = Callable[[Any], Any]


def torch() -> Any:
    """The package.

    Raises:
        MissingPackage: it is not installed.
    """
    return optional.require("torch", INSTALL)


# --- values with tensors in them ------------------------------------------------------------


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same value with its tensors changed: those in tuples, lists and dicts as well."""
    if isinstance(value, torch().Tensor):
        return change(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(one, change) for one in value))
    if type(value) in (tuple, list):
        return type(value)(mapped(one, change) for one in value)
    if type(value) in (dict, OrderedDict):
        return type(value)((key, mapped(one, change)) for key, one in value.items())
    return value


def tensors(value: Any) -> Iterator[Any]:
    """All tensors in a value: in tuples, lists, mappings and dataclasses."""
    if isinstance(value, torch().Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from tensors(one)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from tensors(one)
    elif is_dataclass(value) and not isinstance(value, type):
        for own in fields(value):
            yield from tensors(getattr(value, own.name, None))


def reached(value: Any) -> list[Any]:
    """The tensors that :func:`mapped` changes, in its order."""
    found = []

    def take(tensor: Any) -> Any:
        found.append(tensor)
        return tensor

    mapped(value, take)
    return found


def _clone(tensor: Any) -> Any:
    return tensor.clone()


def copied(arguments: Arguments) -> Arguments:
    """With a copy of every tensor."""
    copies: Arguments = mapped(arguments, _clone)
    return copies


def _needs_gradient(value: Any) -> bool:
    return any(tensor.requires_grad for tensor in tensors(value))


# --- one pass -------------------------------------------------------------------------------


@dataclass
class Call:
    """A module was called, with this."""

    module: Any
    outer: int | None
    """The call during which it happened."""
    arguments: Arguments
    """As it was called: tensors are detached, and share their memory with those of the pass."""
    needing: tuple[int, ...]
    """Places, among the tensors of the arguments, of those that needed gradients."""
    versions: tuple[int, ...]
    """How often each of them had been changed by then."""
    is_copy: bool = False
    """Its arguments are a copy from before the call, because they were changed later."""
    is_leaf: bool = True
    """No other module was called during it."""
    gradient: bool = False
    """What it returned needs gradients."""

    @property
    def is_stale(self) -> bool:
        """Its arguments were changed later, by itself or another."""
        return _versions(self.arguments) != self.versions


def _versions(arguments: Arguments) -> tuple[int, ...]:
    return tuple(
        # Tensors of the inference mode are not counted.
        0 if tensor.is_inference() else tensor._version
        for tensor in reached(arguments)
    )


class _Watch:
    """Notes the calls of modules in this thread."""

    def __init__(self, modules: Mapping[Any, str], to_copy: Sequence[int]) -> None:
        self.calls: list[Call] = []
        self._modules = modules
        self._to_copy = set(to_copy)
        self._open: list[int] = []
        self._thread = threading.get_ident()

    @contextmanager
    def on(self) -> Iterator[None]:
        owner = torch().nn.Module
        call = owner.__call__

        def watched(module: Any, *args: Any, **kwargs: Any) -> Any:
            if module not in self._modules or threading.get_ident() != self._thread:
                return call(module, *args, **kwargs)
            noted = self._begin(module, (args, kwargs))
            try:
                result = call(module, *args, **kwargs)
            finally:
                self._open.pop()
            noted.gradient = _needs_gradient(result)
            return result

        owner.__call__ = watched
        try:
            yield
        finally:
            owner.__call__ = call

    def _begin(self, module: Any, arguments: Arguments) -> Call:
        needing = [at for at, one in enumerate(reached(arguments)) if one.requires_grad]
        kept = mapped(arguments, _detach)
        is_copy = len(self.calls) in self._to_copy
        if is_copy:
            kept = copied(kept)
        outer = self._open[-1] if self._open else None
        if outer is not None:
            self.calls[outer].is_leaf = False
        noted = Call(module, outer, kept, tuple(needing), _versions(kept), is_copy)
        self._open.append(len(self.calls))
        self.calls.append(noted)
        return noted


def _detach(tensor: Any) -> Any:
    return tensor.detach()


@dataclass(frozen=True)
class Seen:
    """One pass through a module, of one kind."""

    calls: Sequence[Call]
    """The first is that of the module itself."""
    output: Any

    @property
    def leaves(self) -> set[Any]:
        return {call.module for call in self.calls if call.is_leaf}


def see(module: Any, arguments: Arguments, *, gradients: bool) -> Seen:
    """Run one pass, and note its calls with what they were called with.

    What the module raises passes through. The arguments are copied, in case it changes them.
    """
    names = named(module)

    def passed(to_copy: Sequence[int]) -> Seen:
        watch = _Watch(names, to_copy)
        own = copied(arguments)
        with same_chance(module, arguments), watch.on():
            output = module(*own[0], **own[1])
        if not watch.calls or watch.calls[0].module is not module:
            raise SettingError(
                f"a {type(module).__name__} is not called as other modules are, and nobody can "
                "look into it; measure_inference() measures it as a whole"
            )
        return Seen(watch.calls, output)

    with torch().set_grad_enabled(gradients):
        # What is compiled on the first call must not be compiled with somebody looking on.
        with same_chance(module, arguments):
            own = copied(arguments)
            module(*own[0], **own[1])
        seen = passed(())
        stale = [at for at, call in enumerate(seen.calls) if call.is_stale]
        if not stale:
            return seen
        again = passed(stale)
    # A module that does something else each time is taken as it was first.
    return again if _order(again) == _order(seen) else seen


def _order(seen: Seen) -> list[Any]:
    return [call.module for call in seen.calls]


def named(module: Any) -> dict[Any, str]:
    """The modules that may be layers, each with the first of its names."""
    return {
        part: name
        for name, part in module.named_modules()
        if PARAMETRIZATIONS not in name.split(".")
    }


def layers_of(seen: Sequence[Seen]) -> dict[Any, list[Call]]:
    """The calls in the last pass, by layer: the outermost module that calls no other in any pass.

    A module may call its parts when gradients are recorded, and none of them when not: then it
    is a layer, and they are not.
    """
    leaves = set().union(*(one.leaves for one in seen))
    calls = seen[-1].calls
    found: dict[Any, list[Call]] = {}
    for call in calls:
        if call.module in leaves and not _within(calls, call, leaves):
            found.setdefault(call.module, []).append(call)
    return found


def _within(calls: Sequence[Call], call: Call, leaves: set[Any]) -> bool:
    outer = call.outer
    while outer is not None:
        if calls[outer].module in leaves:
            return True
        outer = calls[outer].outer
    return False


def with_own_code(seen: Seen, layers: Mapping[Any, object]) -> set[Any]:
    """Modules that call layers and may do something themselves: all but a plain ``Sequential``,
    whose forward pass is that of its parts."""
    plain = torch().nn.Sequential.forward
    inside = _parts_of(layers)
    return {
        call.module
        for call in seen.calls
        if call.module not in inside
        and (
            type(call.module).forward is not plain
            or call.module._forward_hooks
            or call.module._forward_pre_hooks
        )
    }


def not_called(module: Any, seen: Seen, layers: Mapping[Any, object]) -> dict[str, int]:
    """How many parameters modules have that a pass did not call: the outermost, by their names."""
    known = {call.module for call in seen.calls} | _parts_of(layers)
    found: dict[Any, str] = {}
    for name, part in module.named_modules():
        # What holds a layer, as a list of modules does, is not called and not idle either.
        if not known.intersection(part.modules()) and any(True for _ in part.parameters()):
            found[part] = name
            known.update(part.modules())
    return {name: parameters_of(part) for part, name in found.items()}


def _parts_of(layers: Iterable[Any]) -> set[Any]:
    return {part for layer in layers for part in layer.modules()}


def parameters_of(module: Any) -> int:
    """How many there are in it; shared ones count once."""
    return sum(parameter.numel() for parameter in module.parameters())


# --- repeating ------------------------------------------------------------------------------

Once = Callable[[], object]


def copying(call: Call) -> Once:
    """A copy of the arguments, and nothing else."""
    return lambda: copied(call.arguments)


def forward(call: Call, *, copy: bool = False) -> Once:
    """The call again, to be made without gradients."""
    module, (args, kwargs) = call.module, call.arguments
    if not copy:
        return lambda: module(*args, **kwargs)

    def on_a_copy() -> object:
        own = copied((args, kwargs))
        return module(*own[0], **own[1])

    return on_a_copy


def training(call: Call, *, loss: Loss | None = None, copy: bool = False) -> Once:
    """The call again and its backward pass, to be made with gradients enabled.

    Gradients are computed for just those inputs that needed them in the model, and for the
    parameters that do. They are not added to ``.grad``, which nobody touches. The backward pass
    begins with ones, or with the loss.
    """
    module, wanted, places = call.module, [], iter(range(sys.maxsize))

    def leaf(tensor: Any) -> Any:
        own = tensor.detach()
        if next(places) in call.needing:
            wanted.append(own.requires_grad_())
        return own

    args, kwargs = mapped(call.arguments, leaf)
    wanted += [parameter for parameter in module.parameters() if parameter.requires_grad]
    grad, ones = torch().autograd.grad, _Ones()

    def once() -> None:
        own = copied((args, kwargs)) if copy else (args, kwargs)
        result = module(*own[0], **own[1])
        if loss is not None:
            grad(loss(result), wanted, allow_unused=True)
            return
        ends = [tensor for tensor in tensors(result) if tensor.requires_grad]
        if ends:
            grad(ends, wanted, ones.like(ends), allow_unused=True)

    return once


class _Ones:
    """Made once for each shape: making them is no part of a backward pass."""

    def __init__(self) -> None:
        self._made: list[Any] = []

    def like(self, ends: Sequence[Any]) -> list[Any]:
        shapes = [end.shape for end in ends]
        if [one.shape for one in self._made] != shapes:
            self._made = [torch().ones_like(end) for end in ends]
        return self._made


def sum_of_outputs(output: Any) -> Any:
    """The loss where none is given: the sum of all outputs that need gradients."""
    return sum(tensor.real.sum() for tensor in tensors(output) if tensor.requires_grad)


def changes_its_input(call: Call) -> bool:
    """Whether the call works in place. Only one whose arguments were changed is tried."""
    if not call.is_stale and not call.is_copy:
        return False
    module, own = call.module, copied(call.arguments)
    before = _versions(own)
    with same_chance(module, own), torch().no_grad():
        module(*own[0], **own[1])
    return _versions(own) != before


class _NoModules:
    """Instead of the counter's own tracker of modules, of which we have no need: it follows
    gradients of inputs, and cannot do with those that are computed here."""

    parents = frozenset({"Global"})

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


def counted_flops(once: Once) -> int | None:
    """FLOPs of one call by PyTorch's own counter; None: it cannot count them."""
    try:
        counter = optional.require("torch.utils.flop_counter", INSTALL)
        mode = counter.FlopCounterMode(display=False)
        mode.mod_tracker = _NoModules()
        with mode:
            once()
        return int(mode.get_total_flops())
    except Exception:  # of the counter, or of the user's code: a run will tell that
        return None


def message_of(error: Exception) -> str:
    """What it says, on one line and bounded; empty: nothing."""
    try:
        return " ".join(str(error)[: 10 * LONGEST_MESSAGE].split())[:LONGEST_MESSAGE]
    except Exception:  # of the user's own kind of error
        return ""


# --- leaving things as they were ------------------------------------------------------------


@contextmanager
def as_before(module: Any, arguments: Arguments) -> Iterator[None]:
    """Buffers, modes and random numbers are afterwards what they were.

    Batch norm keeps running statistics in buffers. Parameters and their ``.grad`` are not
    touched by what is done here. Attributes that a module's own ``forward`` writes are not
    restored: nobody knows which they are, and a copy of any object may be impossible.
    """
    package = torch()
    buffers = [
        (part, name, buffer, None if buffer is None else buffer.detach().clone())
        for part in module.modules()
        for name, buffer in part._buffers.items()
    ]
    modes = [(part, part.training) for part in module.modules()]
    with same_chance(module, arguments), package.inference_mode(False):
        try:
            yield
        finally:
            with package.no_grad():
                for part, name, buffer, before in buffers:
                    part._buffers[name] = _restored(buffer, before)
            for part, mode in modes:
                part.training = mode


def _restored(buffer: Any, before: Any) -> Any:
    if buffer is None or buffer.shape != before.shape:
        return before
    return buffer.copy_(before)


@contextmanager
def same_chance(module: Any, arguments: Arguments) -> Iterator[None]:
    """Random numbers go on afterwards as if none had been drawn."""
    package, numpy = torch(), sys.modules.get("numpy")
    used = (*module.parameters(), *module.buffers(), *reached(arguments))
    places = {tensor.device for tensor in used}
    devices = sorted({place.index or 0 for place in places if place.type == "cuda"})
    own = random.getstate()
    of_numpy = numpy.random.get_state() if numpy is not None else None
    try:
        with package.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(own)
        if numpy is not None:
            numpy.random.set_state(of_numpy)
