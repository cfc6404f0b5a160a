"""Experiments: measurements that repeat work on purpose."""
