from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The slower notebooks run only where the command line names their marker."""
    if "notebooks" in (config.option.markexpr or ""):
        return
    for item in items:
        if item.get_closest_marker("notebooks") is not None:
            item.add_marker(pytest.mark.skip(reason="a slower notebook: do.py notebooks runs it"))
