"""How times are said to people, and how foreign text is made safe to print."""

import time

MINUTE, HOUR, DAY = 60, 3600, 86400

# C0 and C1 controls but for newline and tab, the bidirectional overrides (U+202A–202E, U+2066–2069): a provider's
# error text must not be able to repaint the terminal.
_UNSAFE = {
    code: "\N{REPLACEMENT CHARACTER}"
    for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    if chr(code) not in "\n\t"
}


def clean(text: str) -> str:
    return text.translate(_UNSAFE)


def span(seconds: float) -> str:
    """A length of time in its two largest units at most: `59 minutes`, `1 hour 5 minutes`, `3 days`."""
    left = max(0, round(seconds))
    if left < 2 * MINUTE:
        return _count(left, "second")
    if left < 2 * HOUR:
        return _two(left, HOUR, "hour", MINUTE, "minute")
    if left < 2 * DAY:
        return _two(left, HOUR, "hour", MINUTE, "minute") if left < 6 * HOUR else _count(left // HOUR, "hour")
    return _count(left // DAY, "day")


def brief(seconds: float) -> str:
    """The same where there is little room: `40 s`, `59 min`, `3 h`, `2 days`."""
    left = max(0, round(seconds))
    if left < 2 * MINUTE:
        return f"{left} s"
    if left < 2 * HOUR:
        return f"{left // MINUTE} min"
    return f"{left // HOUR} h" if left < 2 * DAY else _count(left // DAY, "day")


def _two(left: int, big: int, big_name: str, small: int, small_name: str) -> str:
    whole, rest = divmod(left, big)
    parts = (_count(whole, big_name) if whole else "", _count(rest // small, small_name) if rest // small else "")
    return " ".join(part for part in parts if part)


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def moment(at: float, now: float | None = None) -> str:
    """A point in local time: the hour where it is today, the date too where it is not."""
    then = time.localtime(at)
    today = time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M", then)
    return time.strftime("%Y-%m-%d %H:%M", then)


def until(at: float, now: float | None = None) -> str:
    """`16:42 (59 minutes left)`, or that it is over; 0 is never."""
    now = time.time() if now is None else now
    if not at:
        return "does not expire"
    if at <= now:
        return f"expired {span(now - at)} ago"
    return f"{moment(at, now)} ({span(at - now)} left)"
