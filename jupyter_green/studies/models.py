"""What a study calls: a function, a method or a module of PyTorch, which is never imported here."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jupyter_green.errors import SettingError


def calling(model: Callable[..., Any], batch: Any) -> Callable[[], Any]:
    """A call with the batch: of a tuple as positional arguments, of a mapping as named ones."""
    if isinstance(batch, tuple):
        return functools.partial(model, *batch)
    if isinstance(batch, Mapping):
        return functools.partial(model, **batch)
    return functools.partial(model, batch)


@contextmanager
def evaluating(model: object) -> Iterator[None]:
    """Evaluation mode without gradients, if the model is a PyTorch module; then as it was.

    No inference mode: what a module keeps from a call (a cache of positions) could not be used
    in training any more.
    """
    torch = sys.modules.get("torch")
    module = getattr(getattr(torch, "nn", None), "Module", None)
    if torch is None or module is None or not isinstance(model, module):
        yield
        return
    modes = [(part, part.training) for part in model.modules()]
    training = any(mode for _, mode in modes)
    if training:
        model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        if training:
            # Through the module's own switch, which may do more than set a flag ...
            model.train(modes[0][1])
            # ... and part by part, because a frozen part stays in evaluation mode.
            for part, mode in modes:
                part.training = mode


def name_of(model: object) -> str:
    """``LogisticRegression.predict``, ``resnet.Net``: what a person calls the callable."""
    while isinstance(model, functools.partial):
        model = model.func
    owner = getattr(model, "__self__", None)
    name = getattr(model, "__name__", None)
    if not isinstance(name, str):
        return type(model).__name__
    if owner is None or inspect.ismodule(owner):
        return name
    return f"{(owner if isinstance(owner, type) else type(owner)).__name__}.{name}"


def check_result(result: object) -> None:
    """What the first call returned, which may be a promise to work later.

    Raises:
        SettingError: nothing has been computed yet.
    """
    if inspect.iscoroutine(result):
        result.close()
    if inspect.isawaitable(result):
        raise SettingError(
            "the model is a coroutine function, and a call of it does nothing yet: pass a "
            "function that runs it to its end, as lambda x: asyncio.run(model(x))"
        )
    if inspect.isgenerator(result):
        raise SettingError(
            "the model returns a generator, which does nothing until it is consumed: pass a "
            "function that does, as lambda x: list(model(x))"
        )
