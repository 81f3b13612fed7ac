"""Core ML: weights to mlprogram packages on any system, predictions on macOS."""
