"""Putting our own in front of a framework's functions, exactly and reversibly.

A wrapper has its function's signature, returns what that returns, lets its errors through, and
does nothing any more once it is uninstalled, even where somebody has kept it.
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable
from typing import Any

from jupyter_green.integrations import outermost
from jupyter_green.integrations.training import guarded

Function = Callable[..., Any]
Around = Callable[[Function, tuple[Any, ...], dict[str, Any]], Any]
"""Calls a function with positional and named arguments, and does something before and after."""

_ABSENT = object()


class Wrapping:
    """The wrappers of one framework.

    Args:
        put: wraps what is to be wrapped, by :meth:`method` and :meth:`function`.
    """

    def __init__(self, put: Callable[[Wrapping], None]) -> None:
        self.users = 0
        """Installed so many times and not uninstalled."""
        self._put = put
        self._lock = threading.Lock()
        self._undo: list[Callable[[], None]] = []

    def install(self) -> None:
        """Put the wrappers in place; each time wants an :meth:`uninstall` of its own."""
        with self._lock:
            self.users += 1
            if self.users == 1:
                try:
                    self._put(self)
                except BaseException:
                    self.users = 0
                    self._take_away()
                    raise

    def uninstall(self) -> None:
        """Take them away, if nobody else wants them; safe to call when there are none."""
        with self._lock:
            self.users = max(0, self.users - 1)
            if not self.users:
                self._take_away()

    def _take_away(self) -> None:
        while self._undo:
            self._undo.pop()()

    def method(self, owner: Any, name: str, around: Around) -> None:
        """Wrap a method of a class, which it may have inherited; or what an object holds."""
        self._set(owner, name, self._wrapper(getattr(owner, name), around))

    def has(self, owner: Any, name: str) -> bool:
        """Whether this very class or object has a wrapper of ours of that name."""
        return getattr(vars(owner).get(name), "_wrapping", None) is self

    def subclasses(self, base: type, take: Callable[[type], None]) -> None:
        """Have ``take`` called with each subclass that is defined from now on."""

        def around(original: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            original(*args, **kwargs)
            guarded(take)(args[0])

        # What is found on a class is bound to it; each subclass wants to be told for itself.
        inherited = getattr(base.__init_subclass__, "__func__", None)
        if inherited is not None:
            self._set(base, "__init_subclass__", classmethod(self._wrapper(inherited, around)))

    def _set(self, owner: Any, name: str, value: object) -> None:
        own = vars(owner).get(name, _ABSENT)
        setattr(owner, name, value)

        def undo() -> None:
            # Who has put something in front of ours meanwhile calls ours, which does nothing.
            if vars(owner).get(name) is not value:
                return
            if own is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, own)

        self._undo.append(undo)

    def function(self, original: Function, around: Around) -> None:
        """Wrap a function wherever its package, or the notebook, has a name for it."""
        wrapper = self._wrapper(original, around)
        root = original.__module__.partition(".")[0]
        _rename(root, original, wrapper)
        self._undo.append(lambda: _rename(root, wrapper, original))

    def _wrapper(self, original: Function, around: Around) -> Function:
        @functools.wraps(original)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not self.users:
                return original(*args, **kwargs)
            return around(original, args, kwargs)

        wrapper._wrapping = self  # type: ignore[attr-defined]
        return wrapper


def _rename(root: str, old: object, new: object) -> None:
    """Let names of a package's modules, and those of the user's, mean another function.

    Who has written ``from xgboost import train`` in a cell above means it there, too.
    """
    for name, module in list(sys.modules.items()):
        if name == "__main__" or name.partition(".")[0] == root:
            names = getattr(module, "__dict__", {})
            for key in [key for key, value in list(names.items()) if value is old]:
                names[key] = new


# --- callbacks among the arguments ---


def with_callback(add: Callable[[list[Any]], list[Any]]) -> Around:
    """Let a function's argument ``callbacks`` have ours as well.

    Args:
        add: what the callbacks are, given what the user has passed.
    """

    def around(original: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with outermost.Entry() as is_outermost:
            if is_outermost:
                added = _added(original, args, kwargs, add)
                if added is not None:
                    args, kwargs = added
            return original(*args, **kwargs)

    return around


@guarded
def _added(
    original: Function,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    add: Callable[[list[Any]], list[Any]],
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """The arguments with ours among them; None (guarded): something went wrong."""
    position = _position(original)
    if position < len(args):
        given = args[position]
        return (*args[:position], _more(given, add), *args[position + 1 :]), kwargs
    return args, {**kwargs, "callbacks": _more(kwargs.get("callbacks"), add)}


@functools.cache
def _position(original: Function) -> int:
    return list(inspect.signature(original).parameters).index("callbacks")


def _more(given: Any, add: Callable[[list[Any]], list[Any]]) -> Any:
    if given is None:
        return add([])
    if isinstance(given, (list, tuple, set)):
        return add(list(given))
    # One callback, where a framework takes that; or its own kind of list.
    inside = getattr(given, "callbacks", None)
    if isinstance(inside, list):
        return given
    return add([given])
