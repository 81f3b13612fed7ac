"""Data: published data sets, users' own photographs, and pinned sets for calibration."""
