"""Views of several sessions as one: they take a Merged, and nothing else."""
