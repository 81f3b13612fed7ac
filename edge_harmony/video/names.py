"""Names that stand for videos and cameras; without the rest of this folder, which one picture does not need."""

from __future__ import annotations

from pathlib import Path

READ = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv")
"""File name suffixes that count as videos."""
WRITTEN = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
"""File name suffixes that are written."""
CAMERA = "camera:"
"""The beginning of a camera's name."""


def is_video(name: str) -> bool:
    """Whether a name has the suffix of a video."""
    return Path(name).suffix.lower() in READ


def is_moving(name: str) -> bool:
    """Whether a name stands for a video or a camera."""
    return name.startswith(CAMERA) or is_video(name)
