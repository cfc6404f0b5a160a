"""How a session and its ledger show themselves: in one line."""

import msgspec

from tests.simulators.story import MODEL, PACKAGE, Story, training


def test_a_session() -> None:
    assert repr(training()) == (
        "<Session 20260102T030405-abcdef open: 4 cells, 300.0 ± 0.2 J, 25 s>"
    )


def test_a_session_that_has_ended() -> None:
    story = Story()
    story.cell("1")
    assert repr(story.close()).startswith("<Session 20260102T030405-abcdef closed: 1 cell, ")
    assert "ended without goodbye: 0 cells" in repr(Story().close("kernel died"))


def test_what_is_missing_is_said() -> None:
    story = Story(unread=["dram-0"])
    story.cell("1", 10.0)
    assert "1 cell, ≥ 100 J, 10 s" in repr(story.session())
    assert "0 cells, no counter, " in repr(Story(PACKAGE, unread=["package-0"]).session())


def test_the_band_of_a_model() -> None:
    story = Story(MODEL)
    story.cell("1", 10.0)
    assert "200 ± 80 J" in repr(story.session()) or "200 ± 81 J" in repr(story.session())


def test_a_ledger() -> None:
    assert repr(training().ledger) == (
        "<Ledger: productive 132 J, superseded 60 J, failed 24 J, running 36 J, between cells 48 J>"
    )
    assert repr(Story().session().ledger) == "<Ledger: no energy>"


def test_nothing_else_of_them_changes() -> None:
    session = training()
    assert session == training()
    assert session.ledger == training().ledger
    assert len(msgspec.to_builtins(session.ledger)) == 8
