"""Numbered steps from an empty database to today's schema; each `m<number>_<name>.py` has `up(database)`.

A released step never changes. New tables and columns come as a new step.
"""
