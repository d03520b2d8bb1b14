"""Draws what a person carries, as far as the view shows it."""

from passerby.toy.appearance import Appearance, Luggage, Side
from passerby.toy.canvas import Canvas, Point
from passerby.toy.palette import contrasting, darker
from passerby.toy.pose import Skeleton

_STRAP = 0.018


def draw_backpack(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    """Draw a backpack: all of it from behind, its bulge in profile, its straps from the front."""
    pack = person.backpack
    if pack is None:
        return
    if bones.profile:
        _draw_backpack_in_profile(canvas, person, pack, bones)
    elif bones.facing:
        _draw_backpack_straps(canvas, person, pack, bones)
    else:
        _draw_backpack_from_behind(canvas, pack, bones)


def _draw_backpack_from_behind(canvas: Canvas, pack: Luggage, bones: Skeleton) -> None:
    half, top = pack.width / 2, bones.shoulder + 0.01
    bottom = top + pack.height
    edge = contrasting(pack.colour, 0.35)
    canvas.blob(_box(0.0, top - 0.008, half + 0.008, bottom + 0.008), edge)
    canvas.blob(_box(0.0, top, half, bottom), pack.colour)
    pocket = top + 0.55 * pack.height
    canvas.blob(_box(0.0, pocket, half * 0.72, bottom - 0.015), contrasting(pack.colour, 0.18))
    canvas.stroke([(-half * 0.7, top + 0.06), (half * 0.7, top + 0.06)], 0.007, edge)


def _draw_backpack_straps(
    canvas: Canvas, person: Appearance, pack: Luggage, bones: Skeleton
) -> None:
    x = person.physique.shoulders * 0.58
    for side in (-1, 1):
        top = (side * x, bones.shoulder - 0.008)
        bottom = (side * x * 1.15, bones.shoulder + 0.15)
        canvas.stroke([top, bottom], _STRAP, pack.colour)


def _draw_backpack_in_profile(
    canvas: Canvas, person: Appearance, pack: Luggage, bones: Skeleton
) -> None:
    depth = person.physique.depth
    top = bones.shoulder + 0.01
    bottom = top + pack.height
    inner_top, inner_bottom = bones.axis(top) - depth * 0.7, bones.axis(bottom) - depth * 0.7
    bulge = pack.width * 0.6
    outline = [
        (inner_top, top), (inner_top - bulge * 0.6, top), (inner_top - bulge, top + 0.08),
        (inner_bottom - bulge, bottom - 0.02), (inner_bottom, bottom),
    ]  # fmt: skip
    canvas.blob(outline, pack.colour)
    seam = inner_bottom - bulge * 0.55
    canvas.stroke([(seam, top + 0.04), (seam, bottom - 0.02)], 0.008, contrasting(pack.colour))
    shoulder = bones.axis(bones.shoulder)
    strap: list[Point] = [
        (inner_top, top + 0.01), (shoulder, bones.shoulder - 0.01),
        (shoulder + depth * 0.6, bones.shoulder + 0.05), (shoulder, bones.shoulder + 0.15),
    ]  # fmt: skip
    canvas.stroke(strap, _STRAP, pack.colour)


def draw_shoulder_bag(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    """Draw a shoulder bag on its side of the body, with the strap across the trunk."""
    bag = person.shoulder_bag
    if bag is None:
        return
    if bones.profile:
        _draw_shoulder_bag_in_profile(canvas, person, bag, bones)
        return
    sign = bones.sign(bag.side)
    body = person.physique
    hips = sign * (body.hips + bag.width * 0.25)
    top = bones.hip - 0.05
    strap = [(-sign * body.shoulders * 0.6, bones.shoulder - 0.008), (hips, top + 0.01)]
    canvas.stroke(strap, _STRAP, darker(bag.colour, 0.8))
    _draw_satchel(canvas, bag, hips, top)


def _draw_shoulder_bag_in_profile(
    canvas: Canvas, person: Appearance, bag: Luggage, bones: Skeleton
) -> None:
    shoulder = (bones.axis(bones.shoulder), bones.shoulder - 0.01)
    depth = person.physique.depth
    if bag.side != bones.near:
        # Only the strap that crosses from the near shoulder to the far hip is seen.
        for end in (0.95 * depth, -0.95 * depth):
            canvas.stroke([shoulder, (end, bones.waist)], _STRAP, darker(bag.colour, 0.8))
        return
    hips, top = -0.02, bones.hip - 0.05
    for end in (hips - 0.03, hips + 0.03):
        canvas.stroke([shoulder, (end, top)], _STRAP * 0.8, darker(bag.colour, 0.8))
    _draw_satchel(canvas, bag, hips, top)


def _draw_satchel(canvas: Canvas, bag: Luggage, x: float, top: float) -> None:
    bottom = top + bag.height
    edge = contrasting(bag.colour, 0.35)
    canvas.blob(_box(x, top - 0.006, bag.width / 2 + 0.006, bottom + 0.006), edge)
    canvas.blob(_box(x, top, bag.width / 2, bottom), bag.colour)
    flap = top + 0.45 * bag.height
    canvas.stroke([(x - bag.width * 0.42, flap), (x + bag.width * 0.42, flap)], 0.007, edge)


def draw_handbag(canvas: Canvas, person: Appearance, bones: Skeleton, side: Side) -> None:
    """Draw the handbag if this hand carries it: below the hand, hanging from two handles."""
    bag = person.handbag
    if bag is None or bag.side != side:
        return
    x, y = bones.arms[side].end
    half, top = bag.width / 2, y + 0.055
    edge = contrasting(bag.colour, 0.35)
    canvas.stroke([(x - half * 0.6, top), (x, y), (x + half * 0.6, top)], 0.01, edge)
    wide, bottom = half * 1.15, top + bag.height
    canvas.polygon(
        [(x - half * 0.85, top), (x + half * 0.85, top), (x + wide, bottom), (x - wide, bottom)],
        bag.colour,
    )
    canvas.stroke([(x - half * 0.85, top), (x + half * 0.85, top)], 0.009, edge)


def draw_cane(canvas: Canvas, person: Appearance, bones: Skeleton, side: Side) -> None:
    """Draw the cane if this hand holds it, from the hand to the ground."""
    if person.cane != side:
        return
    x, y = bones.arms[side].end
    away = 0.03 if bones.profile else 0.02 * bones.sign(side)
    canvas.stroke([(x - away, y), (x, y - 0.008), (x + away, 0.985)], 0.013, (62, 40, 24))


def _box(x: float, top: float, half: float, bottom: float) -> list[Point]:
    """A rectangle with extra corners, so that rounding takes off little."""
    third = (bottom - top) / 3
    return [
        (x - half * 0.6, top), (x + half * 0.6, top), (x + half, top + third),
        (x + half, bottom - third * 0.4), (x + half * 0.75, bottom), (x - half * 0.75, bottom),
        (x - half, bottom - third * 0.4), (x - half, top + third),
    ]  # fmt: skip
