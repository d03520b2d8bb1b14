"""Pictures that can be decoded but do not look like a crop of one pedestrian."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from passerby.data.decoding import Pixels

TALLEST = 1024
"""Pixels; detectors cut smaller crops, photographs of a street are larger."""

_BLANK = 2.0
"""Standard deviation of the pixels, out of 255, below which nothing can be seen."""

SUSPICIONS: Mapping[str, str] = {
    "wide": "wider than high, so it hardly shows one standing person: cut the person out first",
    "large": f"more than {TALLEST} pixels high, so it may be a whole photo: cut the person out",
    "blank": "blank, so nothing can be recognised: look at where it comes from",
}
"""What may be wrong to the words for it, after "is"."""


def find_suspicion(pixels: Pixels) -> str | None:
    """Return what looks wrong with a picture, a key of `SUSPICIONS`; None if nothing does.

    Args:
        pixels: RGB as decoded, before resizing, uint8, shape (height, width, 3).
    """
    height, width = pixels.shape[:2]
    # a sample tells, and is quick for large pictures too
    sample = pixels[:: max(1, height // 128), :: max(1, width // 64)]
    if float(np.std(sample)) < _BLANK:
        return "blank"
    if width > height:
        return "wide"
    return "large" if height > TALLEST else None


def describe_suspicions(found: Iterable[tuple[str, str]], count: int) -> list[str]:
    """Return a sentence for each kind of suspicion.

    Args:
        found: names of the crops and keys of `SUSPICIONS`.
        count: how many crops there are.
    """
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for name, kind in found:
        first.setdefault(kind, name)
        counts[kind] += 1
    return [
        f"{name} is {SUSPICIONS[kind]}."
        if counts[kind] == 1
        else f"{counts[kind]:,} of {count:,} crops, {name} first: each is {SUSPICIONS[kind]}."
        for kind, name in first.items()
    ]
