"""Progress bars of studies and of :class:`jupyter_green.studies.track.track`: tqdm's, and what they
leave in a notebook."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 3.0
"""Work that takes longer shows how far it is."""


class Bar:
    """tqdm's bar, in a terminal or as a widget.

    A saved notebook shows the text that a widget had when it was displayed, which of tqdm's is 0 %.
    So the display is renewed at the end, with the last state as its text.

    There may be nothing to write to (a closed stderr, a full disk), and tqdm may be switched off:
    then there is no bar, and the work goes on.

    Args:
        total: steps of the work; None: not known.
        since_s: so many seconds ago the work began.
    """

    def __init__(
        self, total: int | None, name: str, unit: str = "step", since_s: float = 0.0
    ) -> None:
        self._bar: Any = None
        self._display: Any = None
        try:
            self._open(total, name, unit, since_s)
        except Exception:
            self._bar = None

    def _open(self, total: int | None, name: str, unit: str, since_s: float) -> None:
        from tqdm.auto import tqdm  # noqa: PLC0415  (loads widgets in a notebook)

        is_widget = _is_widget(tqdm)
        bar = tqdm(total=total, desc=name, unit=unit, **({"display": False} if is_widget else {}))
        if bar.disable:
            return
        # Or steps that were done before the bar came would seem to have taken no time.
        bar.start_t -= since_s
        bar.last_print_t -= since_s
        self._bar = bar
        if is_widget:
            from IPython.display import display  # noqa: PLC0415  (only in a notebook)

            self._display = display(bar.container, display_id=True)

    def step(self, count: int = 1) -> None:
        """One more is done, or so many."""
        self._tried(lambda bar: bar.update(count))

    def tell(self, words: str) -> None:
        """What stands behind the bar."""
        self._tried(lambda bar: bar.set_postfix_str(words, refresh=False))

    def close(self) -> None:
        """The last state stays."""
        self._tried(self._close)

    def _close(self, bar: Any) -> None:
        bar.close()
        if self._display is not None:
            # Of itself a widget's text ends after 110 characters.
            shown = {**bar.container._repr_mimebundle_(), "text/plain": repr(bar.container)}
            self._display.update(shown, raw=True)

    def _tried(self, do: Callable[[Any], object]) -> None:
        if self._bar is None:
            return
        try:
            do(self._bar)
        except Exception:
            self._bar = None


class LateBar:
    """A bar, from the beginning where the work is known to take longer than ``PATIENCE_S``, and
    from then on where it turns out to.

    Args:
        total: steps of the work.
        expected_s: what all of it takes, at the least.
    """

    def __init__(self, total: int, name: str, unit: str = "step", expected_s: float = 0.0) -> None:
        self._total, self._name, self._unit = total, name, unit
        self._began_s = time.perf_counter()
        self._done = 0
        self._words = ""
        self._bar: Bar | None = None
        if expected_s > PATIENCE_S:
            self._show(0.0)

    def step(self, count: int = 1) -> None:
        """One more is done, or so many."""
        self._done += count
        since_s = time.perf_counter() - self._began_s
        if self._bar is not None:
            self._bar.step(count)
        elif since_s > PATIENCE_S:
            self._show(since_s)

    def tell(self, words: str) -> None:
        """What stands behind the bar."""
        self._words = words
        if self._bar is not None:
            self._bar.tell(words)

    def close(self) -> None:
        """The last state stays."""
        if self._bar is not None:
            self._bar.close()

    def _show(self, since_s: float) -> None:
        self._bar = Bar(self._total, self._name, self._unit, since_s)
        self._bar.tell(self._words)
        self._bar.step(self._done)


def _is_widget(kind: type) -> bool:
    return any(base.__module__ == "tqdm.notebook" for base in kind.__mro__)
