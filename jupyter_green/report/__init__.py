"""Views of a session: every one takes a Session and nothing else."""
