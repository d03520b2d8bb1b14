"""Where head, joints and limbs are for one view and one moment of a walk."""

import math
from dataclasses import dataclass
from typing import Literal

from passerby.toy.appearance import SIDES, Physique, Side
from passerby.toy.canvas import Point

View = Literal["front", "back", "left", "right"]
VIEWS: tuple[View, ...] = ("front", "back", "left", "right")


@dataclass(frozen=True)
class Pose:
    """A moment of a walk.

    Attributes:
        view: what the camera sees: front, back, or the person walking to the left or right.
        phase: the moment within one double step, in radians.
        stride: how far the legs swing, in radians; 0 stands still.
    """

    view: View
    phase: float = 0.0
    stride: float = 0.4

    @property
    def profile(self) -> bool:
        """Whether the person is seen from the side."""
        return self.near is not None

    @property
    def near(self) -> Side | None:
        """The side of the body towards the camera: walking left shows one's left side."""
        return self.view if self.view == "left" or self.view == "right" else None


@dataclass(frozen=True)
class Limb:
    """An arm (shoulder, elbow, hand) or a leg (hip, knee, ankle)."""

    root: Point
    joint: Point
    end: Point


@dataclass(frozen=True)
class Skeleton:
    """Joints in body units; someone in profile walks towards positive x.

    Attributes:
        profile: seen from the side.
        facing: the face is seen, wholly or in profile.
        near: the side of the body towards the camera; None from front and back.
        head: centre of the head.
        shoulder, waist, hip: heights of these lines.
        lean: how far x moves forward for each unit above the hips.
        arms, legs: the limbs on each side of the body.
    """

    profile: bool
    facing: bool
    near: Side | None
    head: Point
    shoulder: float
    waist: float
    hip: float
    lean: float
    arms: dict[Side, Limb]
    legs: dict[Side, Limb]

    def axis(self, height: float) -> float:
        """Return the x of the body's middle at a height between head and hips."""
        return self.lean * max(0.0, self.hip - height)

    def sign(self, side: Side) -> int:
        """Return the direction (1 or -1) in which a side of the body lies from front and back."""
        return 1 if (side == "left") == self.facing else -1

    @property
    def far_to_near(self) -> tuple[Side, Side]:
        """The body's sides in the order in which they are drawn."""
        return ("right", "left") if self.near == "left" else ("left", "right")


def skeleton(body: Physique, pose: Pose) -> Skeleton:
    """Put a body into a pose.

    Args:
        body: the person's proportions.
        pose: the view and the moment of the walk.

    Returns:
        The joints in body units.
    """
    sink = body.stoop * 0.1 if body.stoop > 0.05 else 0.0
    shoulder = body.head + 0.04 + sink
    hip = 1.0 - body.legs
    lean = body.stoop if pose.profile else 0.0
    poke = body.stoop * 0.12 if pose.profile else 0.0
    build_limbs = _profile_limbs if pose.profile else _facing_limbs
    arms, legs = build_limbs(body, pose, shoulder, hip)
    return Skeleton(
        profile=pose.profile,
        facing=pose.view != "back",
        near=pose.near,
        head=(lean * (hip - sink) + poke, body.head / 2 + sink),
        shoulder=shoulder,
        waist=shoulder + 0.62 * (hip - shoulder),
        hip=hip,
        lean=lean,
        arms=arms,
        legs=legs,
    )


_Limbs = tuple[dict[Side, Limb], dict[Side, Limb]]


def _swing(pose: Pose, side: Side) -> float:
    """How far the leg of a side is forward (positive) or back; its arm does the opposite."""
    return pose.stride * math.sin(pose.phase + (math.pi if side == "left" else 0.0))


def _half_arm(body: Physique) -> float:
    """Length of the upper arm, and of the forearm: hands hang a little below the hips."""
    return 0.47 * (1.0 - body.legs - body.head) + 0.015


def _profile_limbs(body: Physique, pose: Pose, shoulder: float, hip: float) -> _Limbs:
    thigh, shank = 0.51 * (body.legs - 0.035), 0.49 * (body.legs - 0.035)
    half_arm = _half_arm(body)
    arms: dict[Side, Limb] = {}
    legs: dict[Side, Limb] = {}
    for side in SIDES:
        swing = _swing(pose, side)
        lifting = max(0.0, math.cos(pose.phase + (math.pi if side == "left" else 0.0)))
        legs[side] = _chain((0.0, hip), swing, swing - 1.1 * pose.stride * lifting, thigh, shank)
        root = (body.stoop * (hip - shoulder), shoulder + 0.02)
        arms[side] = _chain(root, -0.9 * swing, 0.25 - 0.9 * swing, half_arm, half_arm)
    return arms, legs


def _chain(root: Point, first: float, second: float, upper: float, lower: float) -> Limb:
    joint = (root[0] + upper * math.sin(first), root[1] + upper * math.cos(first))
    end = (joint[0] + lower * math.sin(second), joint[1] + lower * math.cos(second))
    return Limb(root, joint, end)


def _facing_limbs(body: Physique, pose: Pose, shoulder: float, hip: float) -> _Limbs:
    towards = 1.0 if pose.view == "front" else -1.0
    half_arm = _half_arm(body)
    arms: dict[Side, Limb] = {}
    legs: dict[Side, Limb] = {}
    for side in SIDES:
        sign = towards if side == "left" else -towards
        swing = _swing(pose, side)
        legs[side] = _facing_leg(body, hip, sign, towards * swing)
        arms[side] = _facing_arm(body, shoulder, half_arm, sign, -swing)
    return arms, legs


def _facing_leg(body: Physique, hip: float, sign: float, nearer: float) -> Limb:
    """A foot further from the camera stands higher in the picture."""
    reach = body.legs - 0.035 + 0.06 * min(0.0, nearer)
    root = sign * body.hips * 0.52
    return Limb(
        (root, hip),
        (root * 0.98, hip + 0.5 * reach),
        (root * (0.86 - 0.2 * nearer), hip + reach),
    )


def _facing_arm(
    body: Physique, shoulder: float, length: float, sign: float, forward: float
) -> Limb:
    """An arm swung forward looks shorter and comes closer to the body."""
    root = (sign * (body.shoulders - 0.012), shoulder + 0.022)
    joint = (root[0] + sign * 0.028, root[1] + length * 0.97)
    bend = 1.0 - 0.4 * max(0.0, forward)
    end = (joint[0] + sign * (0.012 - 0.07 * max(0.0, forward)), joint[1] + length * bend)
    return Limb(root, joint, end)
