"""Draws persons with the skewed attribute frequencies of a real annotation file."""

from functools import lru_cache

import numpy as np

from passerby.errors import InputError
from passerby.toy.appearance import (
    AGES,
    SIDES,
    Age,
    Appearance,
    Hair,
    Hat,
    Logo,
    Lower,
    Luggage,
    Physique,
    Shoes,
    Upper,
)
from passerby.toy.fabric import Fabric, Weave
from passerby.toy.palette import (
    GREY_HAIR,
    HAIR_COLOURS,
    LEATHER_COLOURS,
    LOWER_COLOURS,
    MULTICOLOUR,
    RGB,
    SHOE_COLOURS,
    SKIN_TONES,
    UPPER_COLOURS,
    contrasting,
    jitter,
    shade_of,
)
from passerby.toy.rng import between, happens, one_of, shuffled, source, weighted

_PERSON_STREAM, _AGE_STREAM = 1, 2
_EVERY_AGE_WITHIN = 40

_AGES: dict[Age, float] = {"young": 0.01, "teenager": 0.79, "adult": 0.185, "old": 0.015}
_SHORT_LOWER: dict[Age, float] = {"young": 0.75, "teenager": 0.62, "adult": 0.5, "old": 0.25}
_UPPER = {
    "white": 26.0, "black": 16.0, "gray": 12.0, "red": 12.0, "blue": 10.0, "green": 10.0,
    "yellow": 7.0, "purple": 6.0, MULTICOLOUR: 11.0,
}  # fmt: skip
_LOWER = {
    "black": 32.0, "blue": 17.0, "gray": 15.0, "white": 10.0, "brown": 8.0, "pink": 5.0,
    "green": 5.0, "yellow": 4.0, "purple": 4.0, MULTICOLOUR: 5.0,
}  # fmt: skip
_WEAVES: tuple[Weave, ...] = ("stripes", "bars", "checks", "halves")


def draw_people(persons: int, seed: int) -> list[Appearance]:
    """Draw the first persons of the population that belongs to a seed.

    Person k is the same whatever the total, and every age occurs among the first 40.

    Args:
        persons: how many, at least 1.
        seed: 0 or more.

    Returns:
        One `Appearance` for each person, in order.

    Raises:
        InputError: fewer than one person is asked for, or the seed is negative.
    """
    if persons < 1:
        raise InputError(f"The number of toy persons is {persons}: give 1 or more.")
    if seed < 0:
        raise InputError(f"The seed of the toy persons is {seed}: give 0 or a larger number.")
    return [person_number(index, seed) for index in range(persons)]


def person_number(index: int, seed: int) -> Appearance:
    """Return the person at one place (0, 1, ...) of the population that belongs to a seed."""
    rng = source(seed, _PERSON_STREAM, index)
    drawn = weighted(rng, _AGES)
    return _dress_up(_reserved_ages(seed).get(index, drawn), rng)


def passer_by(rng: np.random.Generator) -> Appearance:
    """Draw somebody who belongs to no population, such as the one who walks through the picture."""
    return _dress_up(weighted(rng, _AGES), rng)


@lru_cache(maxsize=16)
def _reserved_ages(seed: int) -> dict[int, Age]:
    """Places whose age is given, so that the rare ages are never missing."""
    places = shuffled(source(seed, _AGE_STREAM), range(_EVERY_AGE_WITHIN))
    return dict(zip(places, AGES, strict=False))


def _dress_up(age: Age, rng: np.random.Generator) -> Appearance:
    female = happens(rng, 0.45)
    upper = _upper(rng)
    lower = _lower(age, female, upper.fabric, rng)
    handbag = happens(rng, 0.21 if female else 0.03)
    return Appearance(
        age=age,
        female=female,
        physique=_physique(age, female, rng),
        hair=_hair(age, female, rng),
        hat=_hat(rng) if happens(rng, 0.1) else None,
        upper=upper,
        logo=_logo(upper.fabric, rng),
        lower=lower,
        shoes=_shoes(rng),
        backpack=_luggage(0.2, 0.25, rng) if happens(rng, 0.25) else None,
        shoulder_bag=_luggage(0.13, 0.12, rng) if happens(rng, 0.25) else None,
        handbag=_luggage(0.11, 0.1, rng) if handbag else None,
        cane=one_of(rng, SIDES) if age == "old" and happens(rng, 0.6) else None,
    )


def _physique(age: Age, female: bool, rng: np.random.Generator) -> Physique:
    head, legs, build = {
        "young": (0.195, 0.41, 0.98),
        "teenager": (0.147, 0.485, 0.93),
        "adult": (0.132, 0.475, 1.1),
        "old": (0.14, 0.455, 1.06),
    }[age]
    build *= between(rng, 0.88, 1.13)
    return Physique(
        head=head * between(rng, 0.96, 1.04),
        legs=legs + between(rng, -0.015, 0.015),
        shoulders=(0.107 if female else 0.125) * build,
        waist=(0.079 if female else 0.098) * build * between(rng, 0.95, 1.08),
        hips=(0.106 if female else 0.098) * build,
        depth=0.068 * build * between(rng, 0.92, 1.15),
        limbs=(0.9 if female else 1.0) * build,
        stoop=between(rng, 0.1, 0.2) if age == "old" else between(rng, -0.02, 0.04),
        skin=jitter(one_of(rng, SKIN_TONES), rng, 6),
    )


def _hair(age: Age, female: bool, rng: np.random.Generator) -> Hair:
    colours = GREY_HAIR if age == "old" else HAIR_COLOURS
    return Hair(
        colour=jitter(one_of(rng, colours), rng, 8),
        long=happens(rng, 0.73 if female else 0.04),
        length=between(rng, 0.08, 0.19),
        tied=happens(rng, 0.3),
        beard=not female and age in ("adult", "old") and happens(rng, 0.5),
    )


def _hat(rng: np.random.Generator) -> Hat:
    return Hat(colour=shade_of(one_of(rng, LEATHER_COLOURS), rng), brimmed=happens(rng, 0.4))


def _upper(rng: np.random.Generator) -> Upper:
    fabric = _fabric(weighted(rng, _UPPER), UPPER_COLOURS, rng)
    return Upper(
        fabric=fabric,
        short_sleeves=happens(rng, 0.9),
        open_front=happens(rng, 0.3),
        neckline=between(rng, 0.01, 0.05),
        trim=contrasting(fabric.colours[0], between(rng, 0.15, 0.45)),
    )


def _lower(age: Age, female: bool, upper: Fabric, rng: np.random.Generator) -> Lower:
    dress = happens(rng, 0.28 if female else 0.004)
    own = _fabric(weighted(rng, _LOWER), LOWER_COLOURS, rng)
    one_piece = dress and happens(rng, 0.45) and upper.name in (*LOWER_COLOURS, MULTICOLOUR)
    return Lower(
        fabric=upper if one_piece else own,
        dress=dress,
        short=happens(rng, 0.75 if dress else _SHORT_LOWER[age]),
        flare=between(rng, 1.15, 1.6),
    )


def _fabric(name: str, colours: tuple[str, ...], rng: np.random.Generator) -> Fabric:
    if name != MULTICOLOUR:
        colour = shade_of(name, rng)
        return Fabric(name, "plain", (colour, colour))
    first, second = shuffled(rng, colours)[:2]
    return Fabric(
        name,
        one_of(rng, _WEAVES),
        (shade_of(first, rng), shade_of(second, rng)),
        period=between(rng, 0.05, 0.11),
        phase=rng.random(),
    )


def _logo(upper: Fabric, rng: np.random.Generator) -> Logo | None:
    if not upper.plain or not happens(rng, 0.5):
        return None
    return Logo(
        colour=_patch_colour(upper.colours[0], rng),
        across=between(rng, -0.05, 0.05),
        down=between(rng, 0.05, 0.12),
        width=between(rng, 0.025, 0.055),
        height=between(rng, 0.015, 0.04),
        on_back=happens(rng, 0.5),
    )


def _patch_colour(background: RGB, rng: np.random.Generator) -> RGB:
    dark = sum(background) < 330
    return shade_of("white" if dark else one_of(rng, ("black", "red", "blue")), rng)


def _shoes(rng: np.random.Generator) -> Shoes:
    colour = shade_of(one_of(rng, SHOE_COLOURS), rng)
    sock = shade_of(one_of(rng, ("white", "black", "gray")), rng) if happens(rng, 0.4) else None
    sole = shade_of("white", rng) if happens(rng, 0.4) else contrasting(colour)
    return Shoes(colour, sole, sock)


def _luggage(width: float, height: float, rng: np.random.Generator) -> Luggage:
    return Luggage(
        colour=shade_of(one_of(rng, LEATHER_COLOURS), rng),
        side=one_of(rng, SIDES),
        width=width * between(rng, 0.88, 1.15),
        height=height * between(rng, 0.88, 1.15),
    )
