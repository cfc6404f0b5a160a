"""Energy sources: one file for each, behind one small Protocol (``counter.py``)."""
