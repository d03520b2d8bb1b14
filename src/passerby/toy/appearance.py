"""Everything about a person that stays the same from crop to crop."""

from dataclasses import dataclass
from typing import Literal

from passerby.toy.fabric import Fabric
from passerby.toy.palette import LOWER_COLOURS, MULTICOLOUR, RGB, UPPER_COLOURS

Age = Literal["young", "teenager", "adult", "old"]
AGES: tuple[Age, ...] = ("young", "teenager", "adult", "old")
Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")


@dataclass(frozen=True)
class Physique:
    """Body proportions: lengths are shares of the person's height, widths are half-widths."""

    head: float
    legs: float
    shoulders: float
    waist: float
    hips: float
    depth: float
    limbs: float
    stoop: float
    skin: RGB


@dataclass(frozen=True)
class Hair:
    """Hair on the head, and on a man's face; `length` is how far long hair falls."""

    colour: RGB
    long: bool
    length: float
    tied: bool
    beard: bool


@dataclass(frozen=True)
class Hat:
    """A cap with a peak, or a hat with a brim all around."""

    colour: RGB
    brimmed: bool


@dataclass(frozen=True)
class Upper:
    """Upper clothing: its fabric, sleeves, and the details that tell two shirts apart."""

    fabric: Fabric
    short_sleeves: bool
    open_front: bool
    neckline: float
    trim: RGB


@dataclass(frozen=True)
class Logo:
    """A patch on the chest (`on_back`: across the back); place and size in body units."""

    colour: RGB
    across: float
    down: float
    width: float
    height: float
    on_back: bool


@dataclass(frozen=True)
class Lower:
    """Lower clothing: its fabric, whether a dress or skirt, whether short, and its flare."""

    fabric: Fabric
    dress: bool
    short: bool
    flare: float


@dataclass(frozen=True)
class Luggage:
    """A backpack, shoulder bag or handbag; `side` is the side of the body that carries it."""

    colour: RGB
    side: Side
    width: float
    height: float


@dataclass(frozen=True)
class Shoes:
    """Shoes and what shows above them."""

    colour: RGB
    sole: RGB
    sock: RGB | None


@dataclass(frozen=True)
class Appearance:
    """A toy person: all persistent traits, of which `annotation` reports the schema's part."""

    age: Age
    female: bool
    physique: Physique
    hair: Hair
    hat: Hat | None
    upper: Upper
    logo: Logo | None
    lower: Lower
    shoes: Shoes
    backpack: Luggage | None
    shoulder_bag: Luggage | None
    handbag: Luggage | None
    cane: Side | None

    @property
    def annotation(self) -> dict[str, int]:
        """The person's row of the course annotation file, without the id.

        Returns:
            27 columns in the file's order. `age` is 1 to 4 (young, teenager, adult, old), every
            other value is 1 or 2. Multicoloured clothing leaves all colours of its group at 1.
        """
        return {
            "age": AGES.index(self.age) + 1,
            "backpack": _one_or_two(self.backpack is not None),
            "bag": _one_or_two(self.shoulder_bag is not None),
            "handbag": _one_or_two(self.handbag is not None),
            "clothes": _one_or_two(not self.lower.dress),
            "down": _one_or_two(self.lower.short),
            "up": _one_or_two(self.upper.short_sleeves),
            "hair": _one_or_two(self.hair.long),
            "hat": _one_or_two(self.hat is not None),
            "gender": _one_or_two(self.female),
            **_colour_columns("up", UPPER_COLOURS, self.upper.fabric.name),
            **_colour_columns("down", LOWER_COLOURS, self.lower.fabric.name),
        }


def _one_or_two(yes: bool) -> int:
    return 2 if yes else 1


def _colour_columns(prefix: str, names: tuple[str, ...], worn: str) -> dict[str, int]:
    if worn != MULTICOLOUR and worn not in names:
        raise ValueError(f"{worn!r} is not a colour of the group {prefix!r}")
    return {f"{prefix}{name}": _one_or_two(name == worn) for name in names}
