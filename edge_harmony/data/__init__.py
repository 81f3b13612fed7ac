"""Data: published data sets, people's own photographs, and the pinned sets that ranges are calibrated on."""
