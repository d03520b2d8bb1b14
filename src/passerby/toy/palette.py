"""Named colours, and the shades a name covers."""

import numpy as np

from passerby.toy.rng import between

RGB = tuple[int, int, int]

# Darkest and lightest shade that a person would still call by the name.
SHADES: dict[str, tuple[RGB, RGB]] = {
    "black": ((14, 14, 18), (44, 44, 50)),
    "white": ((214, 212, 208), (248, 248, 246)),
    "gray": ((100, 102, 106), (152, 154, 156)),
    "red": ((138, 14, 22), (226, 48, 44)),
    "purple": ((82, 26, 112), (156, 84, 188)),
    "yellow": ((206, 164, 18), (250, 222, 84)),
    "blue": ((20, 40, 118), (64, 122, 214)),
    "green": ((16, 78, 34), (74, 164, 70)),
    "pink": ((226, 112, 150), (250, 172, 196)),
    "brown": ((84, 50, 24), (138, 92, 54)),
}

UPPER_COLOURS = ("black", "white", "red", "purple", "yellow", "gray", "blue", "green")
LOWER_COLOURS = (
    "black", "white", "pink", "purple", "yellow", "gray", "blue", "green", "brown",
)  # fmt: skip
MULTICOLOUR = "multicolor"  # the annotation's own spelling

SKIN_TONES: tuple[RGB, ...] = (
    (244, 208, 178), (232, 188, 152), (216, 168, 128), (190, 138, 100), (140, 92, 62), (98, 64, 46),
)  # fmt: skip
HAIR_COLOURS: tuple[RGB, ...] = (
    (20, 16, 16), (44, 28, 20), (76, 48, 28), (118, 76, 40), (186, 146, 84), (128, 48, 26),
)  # fmt: skip
GREY_HAIR: tuple[RGB, ...] = ((164, 164, 166), (198, 198, 198), (226, 226, 224))
LEATHER_COLOURS = ("black", "brown", "red", "gray", "blue", "green", "white", "pink", "purple")
SHOE_COLOURS = ("black", "white", "gray", "brown", "red", "blue")


def shade_of(name: str, rng: np.random.Generator) -> RGB:
    """Draw one shade of a named colour.

    Args:
        name: a key of `SHADES`.
        rng: the source of chance.

    Returns:
        Red, green and blue, each 0 to 255.

    Raises:
        KeyError: the name is not in `SHADES`.
    """
    dark, light = SHADES[name]
    return jitter(mix(dark, light, rng.random()), rng)


def jitter(colour: RGB, rng: np.random.Generator, spread: float = 7) -> RGB:
    """Move every channel of a colour by at most `spread`."""
    red, green, blue = (_channel(value + between(rng, -spread, spread)) for value in colour)
    return red, green, blue


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """Return the colour at `share` (0 to 1) of the way from the first to the second."""
    red, green, blue = (_channel(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def darker(colour: RGB, factor: float = 0.75) -> RGB:
    """Return the colour in shadow: every channel multiplied by `factor`."""
    red, green, blue = (_channel(value * factor) for value in colour)
    return red, green, blue


def contrasting(colour: RGB, amount: float = 0.3) -> RGB:
    """Return a colour that is seen on top of the given one: dark on light, light on dark."""
    return mix(colour, (255, 255, 255) if sum(colour) < 210 else (0, 0, 0), amount)


def _channel(value: float) -> int:
    return max(0, min(255, round(value)))
