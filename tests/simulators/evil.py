"""Sessions in which everything that others can name is hostile to the form that shows it."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from jupyter_green.events import (
    CounterInfo,
    CounterLost,
    Intensity,
    JournalThinned,
    Machine,
    ModelDescribed,
    OverlapSeen,
    RecorderRestarted,
    Refusal,
)
from jupyter_green.sessions.model import Session
from tests.simulators.story import DRAM, HOSTILE, PACKAGE, Story

NASTY = (
    *HOSTILE,
    "</script><script>alert(1)</script>",
    "<!-- <svg onload=alert(1)>",
    "=cmd()",
    '=HYPERLINK("http://evil.example","click")',
    "| a | b |\n| --- | --- |",
    "[click](javascript:alert(1)) ![see](http://evil.example/x.png)",
    "<https://evil.example> https://evil.example www.evil.example me@evil.example",
    "[evil]: http://evil.example\n[evil]",
    "`code` ``` ~~~ **bold** _it_ ~~gone~~ $x^2$ $$y$$",
    "# heading",
    "- list",
    "1. list",
    "---",
    "> quote",
    "    code",
    "&lt;b&gt; &#60;script&#62;",
    "\\input{/etc/passwd} \\write18{rm} \\end{document}",
    "{ } $ & # ^ _ ~ % \\",
    "100 % # comment ``quotes'' --- 'x' \"y\" <a> |b|",
    "key: [a, b]\n---\n...\n- *anchor !!python/object:os.system",
    "\ufffe\uffff\ufeff\U0001f600\u200d",
    "-" * 1_000_000,
    "<b>|`$\\" * 170_000,
)
"""Names that have broken pages, tables, papers, spreadsheets and readers of YAML."""


def evil(text: str) -> Session:
    """A session whose every word is ``text``: those of users, of drivers and of providers."""
    words: dict[str, Any] = {"assumption": text, "accuracy": text, "device": text, "source": text}
    gpu = CounterInfo(
        name="cpu-model", domain="gpu", provenance="modelled", resolution_s=0.1, band=0.4, **words
    )
    story = Story(
        structs.replace(PACKAGE, **words),
        DRAM,
        gpu,
        notebook=f"/tmp/{text}.ipynb",
        project=text,
        version=text,
        machine=Machine(system=text, cpu=text, cores=4, memory_bytes=2**34, python=text),
        refused=[Refusal(source=text, counter=text, reason=text, remedy=text)],
        intensity=Intensity(g_per_kwh=100.0, place=text, basis=text, source=text),
    )
    number = story.begin(text, {"label": text, "stage": text, "technique": text})
    story.feed(ModelDescribed(run=text, name=text, parameters=10, precision=text, **story.stamp()))
    story.span(1, text, cell=number)
    story.metric(text, 1.0, cell=number, run=text)
    story.end(number, "error", text)
    story.feed(CounterLost(t=story.t, counter="dram-0", since=0.5, reason=text, remedy=text))
    story.feed(RecorderRestarted(t=story.t, since=0.7, reason=text))
    story.feed(OverlapSeen(t=story.t, session=text, pid=9, notebook=text))
    story.feed(JournalThinned(t=story.t, dropped=1, since=0.1, reason=text))
    return structs.replace(story.close(), reason=text, problems=(text,))
