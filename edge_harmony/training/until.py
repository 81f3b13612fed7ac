"""When a run stops: a time of day, a date with time, or a span from now."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from edge_harmony.errors import UsageError

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def parse_until(text: str, now: datetime) -> datetime:
    """Parse a moment.

    Args:
        text: ``HH:MM`` (the next time that a clock shows it), ISO 8601 (without a zone: this machine's), or a span such
            as ``+90m``, ``+8h``, ``+2d``.
        now: the time now, with a zone.

    Raises:
        UsageError: ``text`` is none of these, or lies in the past.
    """
    span = re.fullmatch(r"\+(\d+)([mhd])", text)
    clock = re.fullmatch(r"(\d{1,2}):(\d{2})", text)
    try:
        if span:
            return now + timedelta(**{_UNITS[span[2]]: int(span[1])})
        if clock:
            today = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
            return today if today > now else today + timedelta(days=1)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is not a time to stop at", "write 07:30, 2026-12-24T07:30, or a span such as +90m, +8h, +2d"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)
    if moment <= now:
        raise UsageError(f"{text} lies in the past: it is {now:%Y-%m-%dT%H:%M%z}", "name a later time")
    return moment
