"""Bars of studies: late where work is short, and true about what was done before they came."""

import os
import re
import subprocess
import sys
import time

import pytest

from jupyter_green.studies.bars import PATIENCE_S, Bar, LateBar


def lines(captured: pytest.CaptureFixture[str]) -> list[str]:
    """What stderr has shown; what a script prints stays what it was."""
    out, err = captured.readouterr()
    assert out == ""
    return [line for line in err.replace("\r", "\n").splitlines() if line.strip()]


def test_only_what_takes_long_shows_how_far_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    short = LateBar(2, "layers of net", expected_s=0.5)
    long, late = LateBar(2, "layers of net", expected_s=60.0), LateBar(2, "layers of late")
    for one in (short, long, late):
        one.step()
    short.step()
    long.step()
    late.tell("best 0.97")
    time.sleep(PATIENCE_S)
    late.step()
    for one in (short, long, late):
        one.close()
    ends = [line for line in lines(capfd) if "100%" in line]

    assert sorted({line.split(":")[0] for line in ends}) == ["layers of late", "layers of net"]
    assert all("2/2" in line for line in ends)
    assert any("best 0.97" in line for line in ends)


def test_a_bar_that_comes_late_knows_how_long_it_took(capfd: pytest.CaptureFixture[str]) -> None:
    """30 trials in 60 s: half a trial a second, and another minute for as many."""
    bar = Bar(60, "searches of accuracy", "trial", since_s=60.0)
    bar.step(30)
    bar.close()
    last = lines(capfd)[-1]

    assert "30/60 [01:00<01:00," in last
    per_trial = re.search(r"([0-9.]+)s/trial", last)
    assert per_trial is not None, last
    assert float(per_trial[1]) == pytest.approx(2, abs=0.05)


def test_a_late_bar_shows_at_once_what_was_done(capfd: pytest.CaptureFixture[str]) -> None:
    bar = Bar(60, "searches of accuracy", "trial", since_s=60.0)
    bar.step(30)
    (first, *_) = [line for line in lines(capfd) if " 0/60" not in line]
    bar.close()

    assert "30/60 [01:00<01:00," in first
    assert "2.00s/trial" in first


@pytest.mark.parametrize(
    ("how", "environment"),
    [("2>&-", {}), ("2>/dev/full", {}), ("", {"TQDM_DISABLE": "1"})],
    ids=["no stderr", "a full disk", "switched off"],
)
def test_without_a_bar_the_work_goes_on(how: str, environment: dict[str, str]) -> None:
    code = (
        "from jupyter_green.studies.bars import Bar, LateBar\n"
        "for bar in (Bar(2, 'a'), LateBar(2, 'b', expected_s=60.0)):\n"
        "    for _ in range(2): bar.step(); bar.tell('best 0.97')\n"
        "    bar.close()\n"
        "print('done')"
    )
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" {how}', sys.executable, code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "done\n"
    assert done.stderr == ""
