"""The progress bar of :class:`jupyter_green.studies.track.track`: tqdm's, and what it leaves."""

from __future__ import annotations

from typing import Any


class Bar:
    """tqdm's bar, in a terminal or as a widget.

    A saved notebook shows the text that a widget had when it was displayed, which of tqdm's is 0 %.
    So the display is renewed at the end, with the last state as its text.
    """

    def __init__(self, total: int | None, name: str) -> None:
        from tqdm.auto import tqdm  # noqa: PLC0415  (loads widgets in a notebook)

        self._display: Any = None
        if not _is_widget(tqdm):
            self._bar = tqdm(total=total, desc=name, unit="step")
            return
        from IPython.display import display  # noqa: PLC0415  (only in a notebook)

        self._bar = tqdm(total=total, desc=name, unit="step", display=False)
        self._display = display(self._bar.container, display_id=True)

    def step(self) -> None:
        """One more is done."""
        self._bar.update()

    def tell(self, words: str) -> None:
        """What stands behind the bar."""
        self._bar.set_postfix_str(words, refresh=False)

    def close(self) -> None:
        """The last state stays."""
        self._bar.close()
        if self._display is not None:
            container = self._bar.container
            # Of itself a widget's text ends after 110 characters.
            shown = {**container._repr_mimebundle_(), "text/plain": repr(container)}
            self._display.update(shown, raw=True)


def _is_widget(kind: type) -> bool:
    return any(base.__module__ == "tqdm.notebook" for base in kind.__mro__)
