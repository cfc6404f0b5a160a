"""Run the claims of a notebook on a journal: ``python -m tests.notebooks.claims NAME [JOURNAL]``.

Without a journal it is the kept one. Beside what is kept it says whether the two agree.
"""

import sys
from pathlib import Path

from .kept import NOTEBOOKS, SESSIONS, read


def main(name: str, journal: str = "") -> int:
    name = Path(name).stem
    notebook = NOTEBOOKS / f"{name}.ipynb"
    one = read(notebook, Path(journal) if journal else SESSIONS / f"{name}.ndjson")
    told = one.recomputed
    print(told, end="")
    if journal:
        return 0
    agree = told == one.claimed
    print("=> as it is kept" if agree else "=> NOT as it is kept:\n" + one.claimed)
    return not agree


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
