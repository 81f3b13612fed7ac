"""Backends: build and run of one target live in one folder; found through the entry points ``edge_harmony.backends``."""
