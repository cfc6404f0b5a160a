"""What is done around the calls of a library that logs.

The library's own result and its own exceptions go through untouched. Whatever goes wrong in what
is done around a call is told to whoever listens, and never to the caller.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from jupyter_green.integrations.wrapping import Around, Function

Steps = Generator[Mapping[str, Any] | None, Any, None]
"""What is done around one call: it yields the arguments that are to be replaced (or None), is
sent what the call returned, and is closed if the call raised."""
Told = Callable[[dict[str, Any]], Steps]
"""Gets the arguments of a call by name, those that were passed."""


class Calls:
    """The calls of one library.

    Args:
        failed: takes the exceptions of what is done around them.
    """

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._local = threading.local()

    def around(self, told: Told, *, opaque: bool = True) -> Around:
        """Do this around each call of a function that is wrapped with it.

        Args:
            opaque: the calls inside it are the library's own business, and are not told.
        """

        def around(original: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            arguments = None if self._inside else _arguments(original, args, kwargs)
            if arguments is None:
                return original(*args, **kwargs)
            steps = told(dict(arguments.arguments))
            with self._quietly():
                if replaced := next(steps, None):
                    arguments.arguments.update(replaced)
                    args, kwargs = arguments.args, arguments.kwargs
            try:
                with self._within(opaque):
                    result = original(*args, **kwargs)
            except BaseException:
                steps.close()
                raise
            with self._quietly(), contextlib.suppress(StopIteration):
                steps.send(result)
            return result

        return around

    def own(self) -> contextlib.AbstractContextManager[None]:
        """What is called inside is our own business, and is not told."""
        return self._within()

    @property
    def _inside(self) -> bool:
        return getattr(self._local, "inside", False)

    @contextlib.contextmanager
    def _within(self, opaque: bool = True) -> Iterator[None]:
        before, self._local.inside = self._inside, opaque
        try:
            yield
        finally:
            self._local.inside = before

    @contextlib.contextmanager
    def _quietly(self) -> Iterator[None]:
        """Ours must not break theirs; and what we write there ourselves is not told."""
        try:
            with self._within():
                yield
        except Exception as error:
            self._failed(error)


def _arguments(
    original: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> inspect.BoundArguments | None:
    """By name; None for a call that the function will not take, which it says better itself."""
    try:
        return _signature(original).bind(*args, **kwargs)
    except TypeError:
        return None


@functools.cache
def _signature(original: Function) -> inspect.Signature:
    return inspect.signature(original)
