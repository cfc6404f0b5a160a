"""Our own cost beside that of our peers, measured in one run: ``python -m tests.benchmarks``.

Nothing here asserts a time, since machines differ and are busy. ``soak.py`` holds the long runs.
"""
