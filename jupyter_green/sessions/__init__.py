"""The session: a fold of its events, and the library of recorded ones."""
