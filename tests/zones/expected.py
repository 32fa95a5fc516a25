"""Writes what Python's zoneinfo knows of every zone, from the package tzdata: each change of offset from 1974 to 2037,
and the start of each day of this year and the next."""

import os
import sys
from bisect import bisect_left
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, reset_tzpath

import tzdata

DAY = 86_400
FROM = int(datetime(1974, 1, 1, tzinfo=timezone.utc).timestamp())
TO = int(datetime(2038, 1, 1, tzinfo=timezone.utc).timestamp())
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def offset(zone, at):
    return int((EPOCH + timedelta(seconds=at)).astimezone(zone).utcoffset().total_seconds())


def changes(zone):
    """The two nearest changes of a zone are more than six days apart."""
    before, old = FROM, offset(zone, FROM)
    while before < TO:
        after = min(before + 3 * DAY, TO)
        new = offset(zone, after)
        if new != old:
            at = before + 1 + bisect_left(range(before + 1, after), True, key=lambda at: offset(zone, at) == new)
            if at < TO:
                yield at, new
            old = new
        before = after


def day_start(zone, day):
    """The first second whose local date is `day` or later; midnight, but where clocks skip it."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    at = int(midnight.timestamp())
    local = lambda at: (EPOCH + timedelta(seconds=at)).astimezone(zone).date()
    if local(at) == day and local(at - 1) < day:
        return at
    return bisect_left(range(at + DAY), True, lo=at - DAY, key=lambda at: local(at) >= day)


def main(out):
    reset_tzpath([])  # Nothing but the package.
    folder = os.path.join(os.path.dirname(tzdata.__file__), "zoneinfo")
    with open(os.path.join(folder, "..", "zones")) as file:
        names = file.read().split()
    year = date.today().year
    days = [date(year, 1, 1) + timedelta(days=n) for n in range((date(year + 2, 1, 1) - date(year, 1, 1)).days)]
    written = {}
    print("version", tzdata.IANA_VERSION, file=out)
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            tzif = file.read()
        if tzif not in written:
            zone = ZoneInfo(name)
            lines = [f"change {at} {offset}" for at, offset in changes(zone)]
            lines += [f"day {day} {day_start(zone, day)}" for day in days]
            written[tzif] = (offset(zone, FROM), "\n".join(lines))
        first, lines = written[tzif]
        print("zone", name, first, file=out)
        print(lines, file=out)


main(sys.stdout)
