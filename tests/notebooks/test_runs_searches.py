"""They run headless, here and now, and their claims follow from what they recorded."""

from pathlib import Path

import pytest

from .runs import PATIENCE_S, claims_hold

NAMES = ("reproduce_yarally", "search_strategies")


@pytest.mark.kernel
@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S + 60)
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_its_claims_follow(name: str, tmp_path: Path) -> None:
    assert claims_hold(name, tmp_path)
