"""The report as a page: one file, which needs no network and has a light form without scripts."""
