"""Backends, a folder each with build and run; found through the entry points ``edge_harmony.backends``."""
