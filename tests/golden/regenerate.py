"""Writes the expected digests anew after a deliberate change: python -m tests.golden.regenerate

Read the difference before you commit it: every line of it is a change of meaning for all
journals that were ever recorded, and for every other reader of them.
"""

from __future__ import annotations

import json
from typing import Any

from tests.golden import formats
from tests.golden.digest import digest, expected_path, journals

WIDTH = 100


def laid_out(value: Any, indent: str = "") -> str:
    """JSON in which whatever fits into a line stands on one."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if len(indent + line) <= WIDTH or not isinstance(value, (dict, list)) or not value:
        return line
    deeper = f"{indent} "
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {laid_out(item, deeper)}" for key, item in value.items()]
        opening, closing = "{}"
    else:
        items = [laid_out(item, deeper) for item in value]
        opening, closing = "[]"
    inside = f",\n{deeper}".join(items)
    return f"{opening}\n{deeper}{inside}\n{indent}{closing}"


def main() -> None:
    for journal in journals():
        expected_path(journal).write_text(laid_out(digest(journal.read_bytes())) + "\n", "utf-8")
        print(f"written: {expected_path(journal).name}")
    formats.PATH.write_text(laid_out(list(formats.cases())) + "\n", "utf-8")
    print(f"written: {formats.PATH.name}")
    from tests.golden.stages.__main__ import main as write_stages  # it lays out as we do

    write_stages()


if __name__ == "__main__":
    main()
