"""The notebooks run headless, here and now, and their claims follow from what they recorded."""

from pathlib import Path

import pytest

from .kept import NAMES
from .runs import run

QUICK = ("tour",)
"""These are run with all other tests; the others where ``-m notebooks`` asks for them."""


@pytest.mark.kernel
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.notebooks) for name in NAMES],
)
def test_it_runs_and_its_claims_follow(name: str, tmp_path: Path) -> None:
    one, _ = run(name, tmp_path)
    print(one.claimed)
    assert one.claimed.strip()
    assert one.recomputed == one.claimed
