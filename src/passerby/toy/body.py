"""Draws a person: legs, clothes, arms, head and luggage in the order in which they overlap."""

from PIL import Image

from passerby.toy.appearance import Appearance, Side
from passerby.toy.canvas import Canvas, Framing
from passerby.toy.clothing import draw_arm, draw_leg, draw_lower, draw_upper
from passerby.toy.head import draw_hair_behind, draw_head
from passerby.toy.luggage import (
    draw_backpack,
    draw_cane,
    draw_handbag,
    draw_shoulder_bag,
)
from passerby.toy.pose import Pose, Skeleton, skeleton

_FAR_SIDE_LIGHT = 0.72


def draw_figure(person: Appearance, pose: Pose, framing: Framing) -> Image.Image:
    """Draw a person without background or camera effects.

    Args:
        person: whom to draw.
        pose: the view and the moment of the walk.
        framing: where in the crop the figure is; parts outside are cut off.

    Returns:
        An RGBA image of 64 times 128 pixels, transparent around the figure.
    """
    canvas = Canvas(framing, mirrored=pose.view == "left")
    bones = skeleton(person.physique, pose)
    draw = _draw_in_profile if bones.profile else _draw_face_or_back
    draw(canvas, person, bones)
    return canvas.finished()


def _draw_in_profile(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    far, near = bones.far_to_near
    _draw_loaded_arm(canvas, person, bones, far, _FAR_SIDE_LIGHT)
    draw_leg(canvas, person, bones, far, _FAR_SIDE_LIGHT)
    draw_leg(canvas, person, bones, near)
    _draw_trunk_and_head(canvas, person, bones)
    _draw_loaded_arm(canvas, person, bones, near)


def _draw_face_or_back(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    for side in bones.far_to_near:
        draw_leg(canvas, person, bones, side)
    if bones.facing:
        draw_hair_behind(canvas, person, bones)
    _draw_trunk_and_head(canvas, person, bones)
    for side in bones.far_to_near:
        _draw_loaded_arm(canvas, person, bones, side)


def _draw_trunk_and_head(canvas: Canvas, person: Appearance, bones: Skeleton) -> None:
    draw_lower(canvas, person, bones)
    draw_upper(canvas, person, bones)
    draw_backpack(canvas, person, bones)
    draw_head(canvas, person, bones)
    draw_shoulder_bag(canvas, person, bones)


def _draw_loaded_arm(
    canvas: Canvas, person: Appearance, bones: Skeleton, side: Side, light: float = 1.0
) -> None:
    draw_handbag(canvas, person, bones, side)
    draw_cane(canvas, person, bones, side)
    draw_arm(canvas, person, bones, side, light)
