"""Judgement: a session in, findings out. Nothing here measures, and nothing here draws."""
