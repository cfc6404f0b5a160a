"""Forms that other tools read: every one takes a Session, and returns text or bytes."""
