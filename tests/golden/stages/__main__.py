"""Writes the expected stages anew after a deliberate change: python -m tests.golden.stages"""

from __future__ import annotations

from tests.golden.regenerate import laid_out
from tests.golden.stages.table import EXPECTED, journals, rows


def main() -> None:
    told = {journal.stem: rows(journal.read_bytes()) for journal in journals()}
    EXPECTED.write_text(laid_out(told) + "\n", "utf-8")
    print(f"written: {EXPECTED.name}")


if __name__ == "__main__":
    main()
