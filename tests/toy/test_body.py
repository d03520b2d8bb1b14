"""What can be seen of an attribute in a figure, before any camera effect."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from passerby.toy import Appearance, draw_people
from passerby.toy.appearance import Hat, Luggage
from passerby.toy.body import draw_figure
from passerby.toy.canvas import Framing
from passerby.toy.fabric import Fabric
from passerby.toy.pose import VIEWS, Pose, View

RED, GREEN, BLUE = (200, 30, 35), (30, 150, 40), (30, 40, 200)
TORSO = (slice(34, 56), slice(25, 39))


def plain(colour: tuple[int, int, int], name: str) -> Fabric:
    return Fabric(name, "plain", (colour, colour))


@pytest.fixture
def person() -> Appearance:
    """A teenager in a plain red shirt and long green trousers, without anything else."""
    one = next(p for p in draw_people(50, seed=0) if p.age == "teenager" and not p.female)
    return replace(
        one,
        upper=replace(one.upper, fabric=plain(RED, "red"), short_sleeves=False, open_front=False),
        lower=replace(one.lower, fabric=plain(GREEN, "green"), dress=False, short=False),
        hair=replace(one.hair, long=False),
        logo=None,
        hat=None,
        backpack=None,
        shoulder_bag=None,
        handbag=None,
        cane=None,
    )


def figure(person: Appearance, view: View, phase: float = 0.5) -> NDArray[np.float64]:
    """Pixels (128, 64, 4) of the figure in the middle of the crop."""
    return np.asarray(draw_figure(person, Pose(view, phase), Framing()), dtype=np.float64)


def changed(first: NDArray[np.float64], second: NDArray[np.float64]) -> int:
    """Number of pixels in which two figures clearly differ."""
    return int((np.abs(first - second).max(axis=2) > 30).sum())


def skin_pixels(person: Appearance, picture: NDArray[np.float64]) -> int:
    return int((np.abs(picture[..., :3] - person.physique.skin).max(axis=2) < 25).sum())


@pytest.mark.parametrize("view", VIEWS)
def test_a_figure_fills_the_crop_and_leaves_background(person: Appearance, view: View) -> None:
    opaque = figure(person, view)[..., 3] > 128
    rows = np.flatnonzero(opaque.any(axis=1))
    assert rows[0] < 12
    assert rows[-1] > 115
    assert 0.1 < opaque.mean() < 0.5


@pytest.mark.parametrize("view", VIEWS)
def test_the_torso_shows_the_upper_colour(person: Appearance, view: View) -> None:
    torso = figure(person, view)[34:56, 30:34]
    red_beyond_others = torso[..., 0] - torso[..., 1:3].max(axis=2)
    assert (red_beyond_others > 80).mean() > 0.9


def test_the_legs_show_the_lower_colour(person: Appearance) -> None:
    legs = figure(person, "front")[70:105]
    pixels = legs[legs[..., 3] > 200]
    assert (pixels[:, 1] > pixels[:, 0] + 80).mean() > 0.9


def test_a_backpack_is_seen_from_behind_and_from_the_side(person: Appearance) -> None:
    loaded = replace(person, backpack=Luggage(BLUE, "left", 0.2, 0.25))
    seen = {view: changed(figure(person, view), figure(loaded, view)) for view in VIEWS}
    assert seen["back"] > 3 * seen["front"] > 0
    assert seen["left"] > 2 * seen["front"]
    assert seen["right"] > 2 * seen["front"]


def test_a_shoulder_bag_is_seen_from_its_own_side(person: Appearance) -> None:
    loaded = replace(person, shoulder_bag=Luggage(BLUE, "left", 0.13, 0.12))
    seen = {view: changed(figure(person, view), figure(loaded, view)) for view in VIEWS}
    assert seen["left"] > 2 * seen["right"]


def test_a_shoulder_bag_hangs_on_the_same_side_of_the_body(person: Appearance) -> None:
    loaded = replace(person, shoulder_bag=Luggage(BLUE, "left", 0.13, 0.12))
    assert where_blue(figure(loaded, "front")) > 36
    assert where_blue(figure(loaded, "back")) < 28


def test_a_handbag_hangs_from_the_hand_that_carries_it(person: Appearance) -> None:
    left = replace(person, handbag=Luggage(BLUE, "left", 0.11, 0.1))
    right = replace(person, handbag=Luggage(BLUE, "right", 0.11, 0.1))
    assert where_blue(figure(left, "front")) > 40
    assert where_blue(figure(right, "front")) < 24


def where_blue(picture: NDArray[np.float64]) -> float:
    """Mean column of the clearly blue pixels."""
    blue = picture[..., 2] > picture[..., :2].max(axis=2) + 80
    return float(np.flatnonzero(blue.any(axis=0)).mean())


def test_short_sleeves_and_shorts_show_skin(person: Appearance) -> None:
    sleeves = replace(person, upper=replace(person.upper, short_sleeves=True))
    shorts = replace(person, lower=replace(person.lower, short=True))
    covered = skin_pixels(person, figure(person, "front"))
    assert skin_pixels(person, figure(sleeves, "front")) > covered + 60
    assert skin_pixels(person, figure(shorts, "front")) > covered + 100


def test_a_dress_closes_the_gap_between_the_legs(person: Appearance) -> None:
    dress = replace(person, lower=replace(person.lower, dress=True))
    gap = (slice(78, 100), slice(31, 33))
    assert figure(person, "front")[gap][..., 3].mean() < 128
    assert figure(dress, "front")[gap][..., 3].mean() > 250


def test_long_hair_falls_over_the_back(person: Appearance) -> None:
    hair = replace(person.hair, colour=BLUE, length=0.15, tied=False)
    short = figure(replace(person, hair=hair), "back")
    long = figure(replace(person, hair=replace(hair, long=True)), "back")
    assert changed(short, long) > 150


def test_a_hat_is_seen_from_every_side(person: Appearance) -> None:
    hat = replace(person, hat=Hat(BLUE, brimmed=False))
    for view in VIEWS:
        assert changed(figure(person, view), figure(hat, view)) > 30


def test_a_face_is_seen_from_the_front_only(person: Appearance) -> None:
    head = (slice(6, 22), slice(24, 40))
    assert skin_pixels(person, figure(person, "front")[head]) > 60
    assert skin_pixels(person, figure(person, "back")[head]) < 20


def test_a_child_has_a_larger_head_and_shorter_legs() -> None:
    people = draw_people(400, seed=3)
    young = [p.physique for p in people if p.age == "young"]
    adult = [p.physique for p in people if p.age == "adult"]
    assert min(p.head for p in young) > 1.2 * max(p.head for p in adult)
    assert max(p.legs for p in young) < min(p.legs for p in adult)


def test_multicoloured_cloth_shows_both_colours(person: Appearance) -> None:
    for weave in ("stripes", "bars", "checks", "halves"):
        fabric = Fabric("multicolor", weave, (RED, BLUE), period=0.08, phase=0.1)
        picture = figure(replace(person, upper=replace(person.upper, fabric=fabric)), "front")
        torso = picture[TORSO]
        redder = (torso[..., 0] > torso[..., 2] + 60).mean()
        bluer = (torso[..., 2] > torso[..., 0] + 60).mean()
        assert redder > 0.15, weave
        assert bluer > 0.15, weave


def test_walking_moves_the_legs(person: Appearance) -> None:
    for view in VIEWS:
        assert changed(figure(person, view, phase=1.6), figure(person, view, phase=4.7)) > 20


def test_a_figure_partly_outside_the_crop_is_cut_off(person: Appearance) -> None:
    framing = Framing(height=170, centre=60, top=4)
    picture = draw_figure(person, Pose("front"), framing)
    assert picture.size == (64, 128)
