"""How far a study of layers is, where it takes long enough for somebody to ask."""

from __future__ import annotations

import time

from jupyter_green.studies.bars import Bar

PATIENCE_S = 3.0
"""What takes longer shows a bar."""


class Progress:
    """A bar, from the beginning where the work is known to take longer than ``PATIENCE_S``, and
    from then on where it turns out to. It is tqdm's: on stderr, or a widget in a notebook."""

    def __init__(self, name: str, total: int, expected_s: float) -> None:
        """
        Args:
            total: steps of the work.
            expected_s: what all of it takes, at the least.
        """
        self._name, self._total = name, total
        self._began_s = time.perf_counter()
        self._done = 0
        self._bar: Bar | None = None
        if expected_s > PATIENCE_S:
            self._show()

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if self._bar is not None:
            self._bar.step()
        elif time.perf_counter() - self._began_s > PATIENCE_S:
            self._show()

    def close(self) -> None:
        """The last state stays."""
        if self._bar is not None:
            self._bar.close()

    def _show(self) -> None:
        self._bar = Bar(self._total, self._name)
        for _ in range(self._done):
            self._bar.step()
