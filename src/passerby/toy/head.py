"""Draws face, hair and hat."""

from passerby.toy.appearance import Appearance, Hat
from passerby.toy.canvas import Canvas, Point
from passerby.toy.palette import RGB, darker, mix
from passerby.toy.pose import Skeleton

_EYES = (28, 22, 24)


def draw_hair_behind(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    """Draw the long hair that falls behind the shoulders of someone who is seen from the front."""
    if person.hair.long and not person.hair.tied:
        _draw_falling_hair(canvas, person, bones, 0.37)


def draw_head(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    """Draw the head as seen in this view, with hair and hat."""
    if bones.profile:
        _draw_profile(canvas, person, bones)
    elif bones.facing:
        _draw_face(canvas, person, bones)
    else:
        _draw_from_behind(canvas, person, bones)
    if person.hat is not None:
        _draw_hat(canvas, person.hat, person.physique.head, bones)


def _draw_face(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    size, (x, y) = person.physique.head, bones.head
    skin, hair = person.physique.skin, person.hair.colour
    for side in (-1, 1):
        canvas.oval((x + side * 0.37 * size, y + 0.05 * size), 0.06 * size, 0.1 * size, skin)
    canvas.oval((x, y + 0.01 * size), 0.38 * size, 0.5 * size, skin)
    if person.hair.beard:
        _draw_beard(canvas, (x, y), size, mix(hair, skin, 0.25))
    _draw_fringe(canvas, (x, y), size, hair)
    for side in (-1, 1):
        canvas.oval((x + side * 0.15 * size, y + 0.03 * size), 0.055 * size, 0.045 * size, _EYES)
    if person.hair.long:
        _draw_locks(canvas, person, (x, y))
    canvas.stroke([(x, y + 0.08 * size), (x, y + 0.17 * size)], 0.009, darker(skin, 0.8))
    lips = mix(skin, (150, 30, 40), 0.6 if person.female else 0.35)
    mouth = y + 0.29 * size
    canvas.stroke([(x - 0.1 * size, mouth), (x + 0.1 * size, mouth)], 0.01, lips)


def _draw_locks(canvas: Canvas, person: Appearance, centre: Point) -> None:
    """Long hair beside the face; tied hair comes over one shoulder."""
    size, (x, y) = person.physique.head, centre
    hair = person.hair
    for side in (1,) if hair.tied else (-1, 1):
        lock = x + side * 0.38 * size
        start = (lock, y + 0.25 * size if hair.tied else y - 0.2 * size)
        end = (lock, y + 0.4 * size + hair.length * (0.9 if hair.tied else 0.5))
        canvas.limb(start, end, 0.1 * size, 0.07 * size, hair.colour)


def _draw_beard(canvas: Canvas, centre: Point, size: float, colour: RGB) -> None:
    x, y = centre
    canvas.blob(
        [(x - 0.36 * size, y + 0.1 * size), (x - 0.15 * size, y + 0.22 * size),
         (x + 0.15 * size, y + 0.22 * size), (x + 0.36 * size, y + 0.1 * size),
         (x + 0.27 * size, y + 0.5 * size), (x - 0.27 * size, y + 0.5 * size)],
        colour,
    )  # fmt: skip


def _draw_fringe(canvas: Canvas, centre: Point, size: float, colour: RGB) -> None:
    x, y = centre
    canvas.blob(
        [(x - 0.44 * size, y + 0.02 * size), (x - 0.42 * size, y - 0.35 * size),
         (x - 0.22 * size, y - 0.54 * size), (x + 0.22 * size, y - 0.54 * size),
         (x + 0.42 * size, y - 0.35 * size), (x + 0.44 * size, y + 0.02 * size),
         (x + 0.3 * size, y - 0.2 * size), (x - 0.1 * size, y - 0.26 * size),
         (x - 0.32 * size, y - 0.16 * size)],
        colour,
    )  # fmt: skip


def _draw_from_behind(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    size, (x, y) = person.physique.head, bones.head
    hair = person.hair
    for side in (-1, 1):
        ear = (x + side * 0.38 * size, y + 0.05 * size)
        canvas.oval(ear, 0.06 * size, 0.1 * size, person.physique.skin)
    canvas.oval((x, y - 0.02 * size), 0.4 * size, 0.48 * size, hair.colour)
    if not hair.long:
        return
    if hair.tied:
        top = (x, y + 0.05 * size)
        canvas.limb(top, (x, y + 0.45 * size + hair.length), 0.11 * size, 0.09 * size, hair.colour)
        tie = darker(hair.colour, 0.5)
        canvas.stroke([(x - 0.13 * size, top[1]), (x + 0.13 * size, top[1])], 0.012, tie)
    else:
        _draw_falling_hair(canvas, person, bones, 0.34)


def _draw_falling_hair(canvas: Canvas, person: Appearance, bones: Skeleton, spread: float) -> None:
    size, (x, y) = person.physique.head, bones.head
    hair = person.hair
    end = y + 0.4 * size + hair.length
    canvas.blob(
        [(x - 0.45 * size, y - 0.25 * size), (x + 0.45 * size, y - 0.25 * size),
         (x + 0.47 * size, y + 0.4 * size), (x + spread * size, end),
         (x - spread * size, end), (x - 0.47 * size, y + 0.4 * size)],
        hair.colour,
    )  # fmt: skip


def _draw_profile(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    size, (x, y) = person.physique.head, bones.head
    skin, hair = person.physique.skin, person.hair
    canvas.oval((x + 0.03 * size, y + 0.01 * size), 0.42 * size, 0.49 * size, skin)
    nose = x + 0.44 * size
    canvas.polygon(
        [(nose - 0.03, y - 0.02 * size), (nose + 0.1 * size, y + 0.14 * size),
         (nose - 0.03, y + 0.19 * size)],
        skin,
    )  # fmt: skip
    if hair.beard:
        canvas.blob(
            [(x - 0.05 * size, y + 0.12 * size), (x + 0.4 * size, y + 0.22 * size),
             (x + 0.36 * size, y + 0.5 * size), (x + 0.02 * size, y + 0.48 * size)],
            mix(hair.colour, skin, 0.25),
        )  # fmt: skip
    canvas.oval((x + 0.28 * size, y + 0.02 * size), 0.05 * size, 0.045 * size, _EYES)
    _draw_profile_hair(canvas, person, (x, y))
    ear = (x - 0.02 * size, y + 0.06 * size)
    if not hair.long or hair.tied:
        canvas.oval(ear, 0.06 * size, 0.09 * size, darker(skin, 0.88))


def _draw_profile_hair(canvas: Canvas, person: Appearance, centre: Point) -> None:
    size, (x, y) = person.physique.head, centre
    hair = person.hair
    canvas.blob(
        [(x + 0.44 * size, y - 0.2 * size), (x + 0.3 * size, y - 0.52 * size),
         (x - 0.2 * size, y - 0.56 * size), (x - 0.48 * size, y - 0.3 * size),
         (x - 0.48 * size, y + 0.2 * size), (x - 0.3 * size, y + 0.38 * size),
         (x - 0.1 * size, y + 0.12 * size), (x + 0.02 * size, y - 0.12 * size)],
        hair.colour,
    )  # fmt: skip
    if not hair.long:
        return
    if hair.tied:
        root = (x - 0.46 * size, y)
        end = (x - 0.66 * size, y + 0.35 * size + hair.length * 0.7)
        canvas.limb(root, end, 0.1 * size, 0.07 * size, hair.colour)
    else:
        tips = y + 0.4 * size + hair.length
        canvas.blob(
            [(x + 0.06 * size, y - 0.3 * size), (x + 0.1 * size, y + 0.25 * size),
             (x - 0.1 * size, tips), (x - 0.5 * size, tips),
             (x - 0.56 * size, y + 0.3 * size), (x - 0.48 * size, y - 0.3 * size)],
            hair.colour,
        )  # fmt: skip


def _draw_hat(canvas: Canvas, hat: Hat, size: float, bones: Skeleton) -> None:
    x, y = bones.head
    rim = y - 0.14 * size
    shadow = darker(hat.colour, 0.7)
    canvas.blob(
        [(x - 0.5 * size, rim), (x - 0.46 * size, rim - 0.38 * size),
         (x - 0.22 * size, rim - 0.58 * size), (x + 0.22 * size, rim - 0.58 * size),
         (x + 0.46 * size, rim - 0.38 * size), (x + 0.5 * size, rim)],
        hat.colour,
    )  # fmt: skip
    if hat.brimmed:
        canvas.oval((x, rim), 0.74 * size, 0.09 * size, shadow)
    elif bones.profile:
        canvas.limb((x + 0.2 * size, rim - 0.03), (x + 0.75 * size, rim), 0.012, 0.008, shadow)
    elif bones.facing:
        canvas.oval((x, rim - 0.01), 0.42 * size, 0.1 * size, shadow)
