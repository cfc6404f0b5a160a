"""The recorder: a process that completes, samples and writes, and its kernel side."""
