"""The arithmetic of the comparison: rates, shares and medians, from numbers that others took."""

import statistics

# What a link can deliver of its rate: the rest is headers and tags (40 to 60 bytes of each packet of 1500).
PAYLOAD_SHARE = 0.96
# Steady is what passes between these parts of all bytes: neither the start nor the end counts.
STEADY_FROM, STEADY_TO = 0.1, 0.9


def mbit(count, seconds):
    """Bytes in seconds as Mbit/s; nothing in no time is 0."""
    return count * 8 / seconds / 1e6 if seconds > 0 else 0.0


def deliverable(rate, loss):
    """The most a file can get of a link, in Mbit/s, for its rate in bit/s and its mean loss (0 to 1)."""
    return rate * (1 - loss) * PAYLOAD_SHARE / 1e6


def mean_burst_loss(enter, leave):
    """The mean loss of a Gilbert-Elliott channel that loses everything within a burst."""
    return enter / (enter + leave) if enter + leave > 0 else 0.0


def steady(growth, size):
    """Mbit/s between 10 % and 90 % of the bytes, from (seconds, bytes) samples; None if there are too few."""
    first = next((sample for sample in growth if sample[1] >= size * STEADY_FROM), None)
    last = next((sample for sample in reversed(growth) if sample[1] <= size * STEADY_TO), None)
    if first is None or last is None or last[0] <= first[0] or growth[-1][1] < size * STEADY_TO:
        return None
    return mbit(last[1] - first[1], last[0] - first[0])


def bytes_at(growth, moment):
    """How many bytes there were at a moment, between the samples in a straight line."""
    before = None
    for time, count in growth:
        if time >= moment:
            if before is None or time == before[0]:
                return count
            return before[1] + (count - before[1]) * (moment - before[0]) / (time - before[0])
        before = (time, count)
    return before[1] if before else 0


def rate_within(growth, begin, end):
    """Mbit/s between two moments."""
    return mbit(bytes_at(growth, end) - bytes_at(growth, begin), end - begin)


def jain(rates):
    """Jain's fairness index (RFC 5166 section 2.3): 1 if all are equal, 1/n if one has everything."""
    squares = sum(rate * rate for rate in rates)
    return sum(rates) ** 2 / (len(rates) * squares) if squares > 0 else 0.0


def percentile(values, part):
    """The value below which so large a part (0 to 1) of the values is; None if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None


def spread(values):
    """(median, least, most) of the values that are there; None if none is."""
    there = [value for value in values if value is not None]
    return (statistics.median(there), min(there), max(there)) if there else None
