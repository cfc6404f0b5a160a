"""IPython in a terminal, typed line by line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from .kernels import PATIENCE_S, TIMEOUT_S, Home, until

pexpect = pytest.importorskip("pexpect")

PROMPT = r"In \[\d+\]: $"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][AB0]|[\x07\r]")


class Terminal:
    """A person at an IPython prompt."""

    def __init__(self, home: Home, *options: str) -> None:
        self._child = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--no-banner", "--colors=NoColor", *options],
            cwd=str(home.work),
            env={
                **home.environment,
                "TERM": "xterm",
                "PROMPT_TOOLKIT_NO_CPR": "1",
                "IPY_TEST_SIMPLE_PROMPT": "",
            },
            encoding="utf-8",
            codec_errors="replace",
            timeout=TIMEOUT_S,
            dimensions=(50, 200),
        )

    def wait(self, pattern: str) -> str:
        """What was put out before the pattern, without the terminal's escapes."""
        self._child.expect(pattern)
        return ESCAPES.sub("", self._child.before or "")

    def type(self, line: str, then: str) -> str:
        self._child.sendline(line)
        return self.wait(then)

    def close(self) -> None:
        self._child.close(force=True)

    @property
    def ended(self) -> bool:
        return not self._child.isalive()


@pytest.fixture
def simple(home: Home) -> Iterator[Terminal]:
    terminal = Terminal(home, "--simple-prompt")
    yield terminal
    terminal.close()


def test_typed_line_by_line(home: Home, simple: Terminal) -> None:
    simple.wait(PROMPT)
    assert simple.type("%load_ext jupyter_green", PROMPT).strip() == "%load_ext jupyter_green"
    # As with any cell magic, the body comes in further lines; blank ones end it.
    for line in ("%%energy", "x = 20", "x + 22", ""):
        simple.type(line, r"\.\.\.: $")
    shown = simple.type("", PROMPT)
    assert "42" in shown
    assert re.search(r"x = 20 · .*J · .*measured", shown), shown
    assert "<b>" not in shown

    failed = simple.type("1 / 0", PROMPT)
    assert failed.count("ZeroDivisionError: ") == 1
    assert "x = 20" in simple.type("%green", PROMPT)
    simple.type("exit", pexpect.EOF)
    until(lambda: simple.ended)
    (session,) = until(lambda: [s for s in home.sessions() if s.state == "closed"])
    assert session.front_end == "ipython"
    lines = [(cell.first_line, cell.status) for cell in session.cells]
    assert lines[:3] == [("x = 20", "ok"), ("1 / 0", "error"), ("%green", "ok")]
    until(lambda: not home.recorders(), PATIENCE_S, "the recorder's end")


def test_typed_with_line_editing(home: Home) -> None:
    """As people have it: with prompt_toolkit, which asks whether a cell is complete."""
    terminal = Terminal(home)
    try:
        terminal.wait(r"In \[1\]:")
        terminal.type("%load_ext jupyter_green", r"In \[2\]:")
        for line in ("%%energy", "x = 20", "x + 22", ""):
            terminal.type(line, r"\.\.\.:")
        shown = terminal.type("", r"In \[3\]:")
        assert re.search(r"x = 20 · .*J · .*measured", shown), shown
        terminal.type("exit", pexpect.EOF)
    finally:
        terminal.close()
    (session,) = until(lambda: [s for s in home.sessions() if s.state == "closed"])
    assert session.cells[0].first_line == "x = 20"
