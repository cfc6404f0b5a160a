"""A session told event by event, with energies that the teller knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jupyter_green.events import (
    CellFinished,
    CellStarted,
    CounterInfo,
    Event,
    Intensity,
    MetricLogged,
    PowerSampled,
    Pricing,
    Refusal,
    SessionEnded,
    SessionStarted,
    SpanFinished,
    SpanStarted,
    Tags,
)
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session

FRANCE = Intensity(g_per_kwh=44.0, place="France", year=2024, source="a table")
PACKAGE = CounterInfo(
    name="package-0", domain="package", source="rapl", provenance="measured", resolution_s=0.001
)
DRAM = CounterInfo(
    name="dram-0", domain="dram", source="rapl", provenance="measured", resolution_s=0.001
)
CORE = CounterInfo(
    name="core-0",
    domain="core",
    source="rapl",
    provenance="measured",
    resolution_s=0.001,
    counted=False,
    part_of="package-0",
)
MODEL = CounterInfo(
    name="cpu-model",
    domain="cpu",
    source="modelled",
    provenance="modelled",
    resolution_s=0.01,
    band=0.4,
    assumption="10 W idle, 65 W busy",
)
EVERY = frozenset({PACKAGE.name, DRAM.name, CORE.name})

WATTS = {"package-0": 10.0, "dram-0": 2.0, "core-0": 7.0, "cpu-model": 20.0}


class Story:
    """Tells a session; every counter runs at its constant watts.

    Args:
        counters: what the session reads.
        lag_uj: how far every reading may lag, in microjoules.
        unread: counters whose readings fail from the first stamp on.
        header: further fields of the first event.
    """

    def __init__(
        self,
        *counters: CounterInfo,
        lag_uj: int = 100_000,
        unread: Iterable[str] = (),
        **header: Any,
    ) -> None:
        self.fold = Fold()
        self.counters = counters or (PACKAGE, DRAM, CORE)
        self.unread = set(unread)
        """Counters whose readings fail now."""
        self.lag_uj = lag_uj
        self.t = 0.0
        self._count = 0
        fields: dict[str, Any] = {
            "format": "1.0",
            "session": "20260102T030405-abcdef",
            "version": "0.1.0",
            "wall_s": 1_767_323_045.0,
            "host": "here",
            "boot_id": "boot",
            "pid": 7,
            "process_started": 1.0,
            "notebook": "/home/me/train.ipynb",
            "counters": list(self.counters),
        }
        self.feed(SessionStarted(**{**fields, **header}, **self.stamp()))

    def feed(self, event: Event) -> None:
        self.fold.feed(event)

    def stamp(self, after_s: float = 0.0) -> dict[str, Any]:
        """The fields of a stamp that much later."""
        self.t += after_s
        names = [one.name for one in self.counters if one.name not in self.unread]
        return {
            "t": self.t,
            "uj": {name: round(WATTS[name] * self.t * 1e6) for name in names},
            "error_uj": dict.fromkeys(names, (self.lag_uj, self.lag_uj)),
        }

    def begin(self, line: str, tags: Mapping[str, Any] | None = None, **fields: Any) -> int:
        """A cell begins; returns its number."""
        self._count += 1
        usual = {"cell": line, "first_line": line, "execution_count": self._count}
        self.feed(
            CellStarted(
                number=self._count, tags=Tags(**(tags or {})), **{**usual, **fields}, **self.stamp()
            )
        )
        return self._count

    def end(self, number: int, status: str = "ok", error: str | None = None) -> None:
        """A cell ends."""
        self.feed(CellFinished(number=number, status=status, error=error, **self.stamp()))

    def cell(
        self,
        line: str,
        seconds: float = 1.0,
        status: str = "ok",
        error: str | None = None,
        **tags: Any,
    ) -> int:
        """A whole cell; returns its number."""
        number = self.begin(line, tags)
        self.sleep(seconds)
        self.end(number, status, error)
        return number

    def span(self, number: int, name: str, seconds: float = 1.0, **fields: Any) -> None:
        """A whole span."""
        self.feed(SpanStarted(span=number, name=name, **fields, **self.stamp()))
        self.sleep(seconds)
        self.feed(SpanFinished(span=number, **self.stamp()))

    def metric(self, name: str, value: float | None, **fields: Any) -> None:
        self.feed(MetricLogged(name=name, value=value, **fields, **self.stamp()))

    def sleep(self, seconds: float) -> None:
        self.feed(PowerSampled(**self.stamp(seconds)))

    def close(self, reason: str = "goodbye") -> Session:
        """The session ends; returns it."""
        self.feed(SessionEnded(reason=reason, **self.stamp()))
        return self.session()

    def session(self) -> Session:
        return self.fold.session()


def training(**header: Any) -> Session:
    """A usual session: 12 W counted; cells that succeed, are repeated, fail, and one that runs.

    Productive are 1 + 10 s, superseded 5 s, failed 2 s, running 3 s, between cells 4 s.
    """
    usual: dict[str, Any] = {
        "intensity": FRANCE,
        "pricing": Pricing(price_per_kwh=0.25),
        "refused": [Refusal(source="nvml", reason="no NVIDIA driver", remedy="install one")],
    }
    story = Story(**{**usual, **header})
    story.sleep(4.0)
    story.cell("import torch")
    for seconds in (5.0, 10.0):
        number = story.begin("fit(model)", {"label": "mlp 64", "stage": "train"})
        story.span(2 * number, "epoch 1", seconds / 2, type="epoch", cell=number)
        story.metric("acc", 0.5, cell=number, step=1)
        story.span(2 * number + 1, "epoch 2", seconds / 2, type="epoch", cell=number)
        story.metric("acc", 0.9, cell=number, step=2)
        story.end(number)
    story.cell("1 / 0", 2.0, "error", "ZeroDivisionError")
    story.begin("while True: pass")
    story.sleep(3.0)
    return story.session()


HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "two\nlines\r\nand\ta tab",
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    "\u202egnp.exe\u2066",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\tindented",
    "\x1b]0;title\x07after",
    "\x1b]8;;http://example.com\x1b\\link",
    "\x9b31mred",
    "a\x00b\x7fc\x85d\u2028e",
    "lone \ud800 surrogate",
    "漢字" * 100,
    "e" + "\u0301" * 500,
    "x" * 10_000,
    '"quoted", and; separated',
    "{{ template }} & &amp; %s {0}",
    "   ",
    "",
)
"""Names that have broken tables, terminals, pages and spreadsheets."""


def hostile() -> Session:
    """A session in which everything that a user or another program can name is hostile."""
    evil = HOSTILE[2] + HOSTILE[0] + HOSTILE[4] + "\n"
    story = Story(
        notebook=f"/tmp/{evil}.ipynb",
        refused=[Refusal(source="x", reason=evil, remedy=evil)],
        intensity=Intensity(g_per_kwh=1.0, place=evil, basis=evil, source=evil),
    )
    for index, text in enumerate(HOSTILE):
        number = story.begin(text, {"label": text or None, "stage": text, "technique": text})
        story.span(index, text, cell=number)
        story.metric(text, 1.0, cell=number)
        story.end(number, "error", text)
    return story.close()
