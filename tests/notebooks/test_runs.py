"""The notebooks run headless, here and now, and their claims follow from what they recorded."""

from pathlib import Path

import pytest

from .kept import NAMES
from .runs import PATIENCE_S, run


@pytest.mark.kernel
@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S + 60)
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_its_claims_follow(name: str, tmp_path: Path) -> None:
    one, _ = run(name, tmp_path)
    print(one.claimed)
    assert one.claimed.strip()
    assert one.recomputed == one.claimed
