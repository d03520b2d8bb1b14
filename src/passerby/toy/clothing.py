"""Draws arms and legs, and what is worn on them and on the trunk."""

from passerby.toy.appearance import Appearance, Side
from passerby.toy.canvas import Canvas, Point
from passerby.toy.palette import darker, mix
from passerby.toy.pose import Limb, Skeleton

_ARM, _WRIST = 0.031, 0.021
_THIGH, _KNEE, _ANKLE = 0.052, 0.036, 0.024


def draw_arm(
    canvas: Canvas, person: Appearance, bones: Skeleton, side: Side, light: float = 1.0
) -> None:
    """Draw an arm with its sleeve and hand; `light` below 1 puts it into shadow."""
    limb, width = bones.arms[side], person.physique.limbs
    skin = darker(person.physique.skin, light)
    # A sleeve slightly darker than the trunk keeps the arm visible in front of it.
    sleeve = canvas.ink(person.upper.fabric, bones.waist, 0.9 * light)
    canvas.oval(limb.end, 0.022 * width, 0.026, skin)
    if person.upper.short_sleeves:
        cuff = _between(limb.root, limb.joint, 0.68)
        canvas.limb(limb.joint, limb.end, 0.024 * width, _WRIST * 0.8 * width, skin)
        canvas.limb(cuff, limb.joint, 0.026 * width, 0.024 * width, skin)
        canvas.limb(limb.root, cuff, _ARM * width, 0.034 * width, sleeve)
    else:
        canvas.limb(limb.joint, limb.end, 0.029 * width, _WRIST * 1.15 * width, sleeve)
        canvas.limb(limb.root, limb.joint, _ARM * width, 0.029 * width, sleeve)


def draw_leg(
    canvas: Canvas, person: Appearance, bones: Skeleton, side: Side, light: float = 1.0
) -> None:
    """Draw a leg, its trouser leg if it has one, and the shoe; `light` as for an arm."""
    limb, width = bones.legs[side], person.physique.limbs
    lower = person.lower
    skin = darker(person.physique.skin, light)
    cloth = canvas.ink(lower.fabric, limb.joint[1], light)
    _draw_shoe(canvas, person, bones, limb, light)
    if lower.dress or lower.short:
        canvas.limb(limb.joint, limb.end, _KNEE * 0.95 * width, _ANKLE * 0.85 * width, skin)
        canvas.limb(limb.root, limb.joint, _THIGH * 0.9 * width, _KNEE * 0.95 * width, skin)
        _draw_sock(canvas, person, limb, light)
    if lower.dress:
        return
    if lower.short:
        hem = _between(limb.root, limb.joint, 0.86)
        canvas.limb(limb.root, hem, _THIGH * width, 0.05 * width, cloth)
    else:
        cuff = _between(limb.joint, limb.end, 0.96)
        canvas.limb(limb.joint, cuff, 0.041 * width, 0.033 * width, cloth)
        canvas.limb(limb.root, limb.joint, _THIGH * width, 0.041 * width, cloth)


def _draw_sock(canvas: Canvas, person: Appearance, limb: Limb, light: float) -> None:
    if person.shoes.sock is not None:
        top = _between(limb.joint, limb.end, 0.72)
        canvas.limb(top, limb.end, 0.027, 0.024, darker(person.shoes.sock, light))


def _draw_shoe(
    canvas: Canvas, person: Appearance, bones: Skeleton, limb: Limb, light: float
) -> None:
    x, y = limb.end
    colour, sole = darker(person.shoes.colour, light), darker(person.shoes.sole, light)
    if bones.profile:
        # A foot that swings back points down.
        drop = 0.03 * (limb.joint[0] - x > 0.04)
        canvas.limb((x, y + 0.022), (x + 0.062, y + 0.024 + drop), 0.014, 0.011, sole)
        canvas.limb((x, y + 0.012), (x + 0.058, y + 0.018 + drop), 0.021, 0.013, colour)
    else:
        canvas.oval((x, y + 0.022), 0.031, 0.02, sole)
        canvas.oval((x, y + 0.014), 0.029, 0.02, colour)


def draw_lower(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    """Draw the part of trousers around the hips, or a dress or skirt."""
    if person.lower.dress:
        _draw_skirt(canvas, person, bones)
        return
    body = person.physique
    cloth = canvas.ink(person.lower.fabric, bones.hip + 0.12)
    half = body.depth * 0.92 if bones.profile else body.hips
    waist = body.depth * 0.85 if bones.profile else body.waist
    top = bones.waist
    canvas.blob(
        [(-waist, top), (waist, top), (half, bones.hip - 0.02), (half * 0.95, bones.hip + 0.05),
         (0.0, bones.hip + 0.075), (-half * 0.95, bones.hip + 0.05), (-half, bones.hip - 0.02)],
        cloth,
    )  # fmt: skip


def _draw_skirt(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    body, lower = person.physique, person.lower
    legs = bones.legs.values()
    knee = max(leg.joint[1] for leg in legs)
    ankle = max(leg.end[1] for leg in legs)
    hem = knee - 0.025 if lower.short else ankle - 0.05
    hips = body.depth if bones.profile else body.hips
    waist = body.depth * 0.85 if bones.profile else body.waist
    front = max(_at_height(leg, hem) for leg in legs) + 0.035
    back = min(_at_height(leg, hem) for leg in legs) - 0.035
    front, back = max(front, hips * lower.flare), min(back, -hips * lower.flare)
    cloth = canvas.ink(lower.fabric, (bones.hip + hem) / 2)
    canvas.polygon(
        [(-waist, bones.waist - 0.02), (waist, bones.waist - 0.02), (hips * 1.06, bones.hip - 0.02),
         (front, hem), ((front + back) / 2, hem + 0.012), (back, hem),
         (-hips * 1.06, bones.hip - 0.02)],
        cloth,
    )  # fmt: skip
    fold = darker(lower.fabric.colours[0], 0.78)
    for share in (0.28, 0.62):
        foot = back + share * (front - back)
        canvas.stroke([(foot * 0.45, bones.hip + 0.02), (foot, hem - 0.005)], 0.008, fold)


def _at_height(leg: Limb, height: float) -> float:
    start, end = (leg.root, leg.joint) if height < leg.joint[1] else (leg.joint, leg.end)
    share = (height - start[1]) / max(1e-6, end[1] - start[1])
    return start[0] + min(1.0, share) * (end[0] - start[0])


def draw_upper(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    """Draw the garment on the trunk with its neckline, front opening, trim and logo."""
    body = person.physique
    cloth = canvas.ink(person.upper.fabric, bones.waist - 0.03)
    neck = (bones.axis(bones.shoulder), bones.shoulder - 0.03)
    canvas.limb(neck, (neck[0], bones.shoulder + 0.03), 0.03, 0.036, darker(body.skin, 0.88))
    outline = _profile_trunk(person, bones) if bones.profile else _facing_trunk(person, bones)
    canvas.blob(outline, cloth)
    if bones.profile:
        return
    hem = bones.hip - 0.012
    canvas.stroke([(-body.hips * 0.9, hem), (body.hips * 0.9, hem)], 0.008, person.upper.trim)
    if bones.facing:
        _draw_front(canvas, person, bones)
    _draw_logo(canvas, person, bones)


def _facing_trunk(person: Appearance, bones: Skeleton) -> list[Point]:
    body = person.physique
    hem = bones.hip + 0.012
    right = [
        (0.035, bones.shoulder - 0.016),
        (body.shoulders * 0.72, bones.shoulder - 0.004),
        (body.shoulders, bones.shoulder + 0.02),
        (body.shoulders * 0.93, bones.shoulder + 0.1),
        (body.waist, bones.waist),
        (body.hips, hem - 0.03),
        (body.hips, hem),
    ]
    return right + [(-x, y) for x, y in reversed(right)]


def _profile_trunk(person: Appearance, bones: Skeleton) -> list[Point]:
    depth = person.physique.depth
    bust = 1.18 if person.female and person.age != "young" else 1.0
    belly = 1.12 if person.age in ("adult", "old") and not person.female else 0.92
    hem = bones.hip + 0.012
    outline = [
        (0.4, bones.shoulder - 0.018), (0.75, bones.shoulder + 0.03), (bust, bones.shoulder + 0.1),
        (belly, bones.waist), (0.95, hem - 0.03), (0.95, hem),
        (-0.98, hem), (-1.0, hem - 0.03), (-0.85, bones.waist),
        (-1.05, bones.shoulder + 0.09), (-0.85, bones.shoulder + 0.02),
        (-0.4, bones.shoulder - 0.018),
    ]  # fmt: skip
    return [(bones.axis(y) + x * depth, y) for x, y in outline]


def _draw_front(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    upper = person.upper
    top = bones.shoulder - 0.016
    depth = upper.neckline + 0.015
    canvas.polygon([(-0.034, top), (0.034, top), (0.0, top + depth)], person.physique.skin)
    if upper.open_front:
        line = [(0.0, top + depth), (0.0, bones.hip)]
        canvas.stroke(line, 0.009, upper.trim)


def _draw_logo(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    logo = person.logo
    if logo is None or logo.on_back == bones.facing:
        return
    x, y = logo.across, bones.shoulder + logo.down
    half_width, half_height = logo.width * (1.4 if logo.on_back else 1.0), logo.height
    colour = mix(logo.colour, person.upper.fabric.colours[0], 0.1)
    canvas.polygon(
        [(x - half_width, y - half_height), (x + half_width, y - half_height),
         (x + half_width, y + half_height), (x - half_width, y + half_height)],
        colour,
    )  # fmt: skip


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])
