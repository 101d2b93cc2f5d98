"""Times as XMPP writes them (XEP-0082), to and from Unix seconds."""

from motemo.errors import RemoteError


def write(seconds):
    """Unix seconds as XEP-0082 has it, in UTC."""
    days, seconds = divmod(int(seconds), 86400)
    year = 1970 + days // 366
    while _days(year + 1, 1, 1) <= days:
        year += 1
    month = 1
    while month < 12 and _days(year, month + 1, 1) <= days:
        month += 1
    day = days - _days(year, month, 1) + 1
    parts = (year, month, day, seconds // 3600, seconds // 60 % 60, seconds % 60)
    return "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}Z".format(*parts)


def read(text):
    """Unix seconds of an XEP-0082 time; a fraction is cut off."""
    zone = text[19:]
    if zone[:1] == ".":
        zone = zone[1:].lstrip("0123456789")
    if zone == "Z":
        zone = "+00:00"
    text = text[:19] + zone
    for c, form in zip(text, "0000-00-00T00:00:00+00:00"):
        if not ("0" <= c <= "9" if form == "0" else c == form or form == "+" and c == "-"):
            raise RemoteError("format", "time")
    if len(text) != 25:
        raise RemoteError("format", "time")
    month, day, hour, minute, second = [int(text[i : i + 2]) for i in (5, 8, 11, 14, 17)]
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        raise RemoteError("format", "time")
    offset = int(text[20:22]) * 60 + int(text[23:])
    if text[19] == "-":
        offset = -offset
    return ((_days(int(text[:4]), month, day) * 24 + hour) * 60 + minute - offset) * 60 + second


def _days(year, month, day):
    """Days since 1970-01-01. The year is taken to start in March, so that the leap day is its last."""
    month = (month + 9) % 12
    year -= month > 9
    return year * 365 + year // 4 - year // 100 + year // 400 + (month * 306 + 5) // 10 + day - 719469
