"""Inspection of files before they are built: the precision of each layer with its reason, and refusals."""
