"""Simulated sensors with a known truth: what the tests measure instead of real hardware."""
