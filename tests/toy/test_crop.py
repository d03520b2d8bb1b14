import numpy as np
import pytest
from numpy.typing import NDArray

from passerby.errors import InputError
from passerby.toy import draw_people, render_crop, toy_images
from passerby.toy.crop import render_distractor
from passerby.toy.palette import UPPER_COLOURS

PEOPLE = draw_people(260, seed=5)


def torso_colour(crop: NDArray[np.uint8]) -> NDArray[np.float64]:
    colour: NDArray[np.float64] = crop[34:54, 27:37].mean(axis=(0, 1))
    return colour


def test_a_crop_is_an_rgb_image_of_bytes() -> None:
    crop = render_crop(PEOPLE[0], camera=1, seed=0)
    assert crop.shape == (128, 64, 3)
    assert crop.dtype == np.uint8
    assert crop.std() > 15


def test_the_same_arguments_give_the_same_pixels() -> None:
    for camera in range(1, 7):
        first, second = (render_crop(PEOPLE[1], camera, seed=9) for _ in range(2))
        assert np.array_equal(first, second)


def test_seed_camera_and_person_each_change_the_crop() -> None:
    crop = render_crop(PEOPLE[0], camera=1, seed=0)
    assert not np.array_equal(crop, render_crop(PEOPLE[0], camera=1, seed=1))
    assert not np.array_equal(crop, render_crop(PEOPLE[0], camera=2, seed=0))
    assert not np.array_equal(crop, render_crop(PEOPLE[1], camera=1, seed=0))


def test_cameras_differ_in_mean_colour() -> None:
    means = [
        np.mean([render_crop(PEOPLE[i], camera, i).mean(axis=(0, 1)) for i in range(20)], axis=0)
        for camera in range(1, 7)
    ]
    for i, mean in enumerate(means):
        for other in means[:i]:
            assert np.abs(mean - other).max() > 4


def test_the_upper_colour_can_be_told_from_a_crop() -> None:
    """The mean torso colour, compared with each colour's mean over other persons."""
    plain = [(p, p.upper.fabric.name) for p in PEOPLE if p.upper.fabric.plain]
    colours = np.array(
        [torso_colour(render_crop(p, i % 6 + 1, i)) for i, (p, _) in enumerate(plain)]
    )
    names = np.array([name for _, name in plain])
    known, asked = slice(0, 160), slice(160, None)
    centres = np.array([colours[known][names[known] == n].mean(axis=0) for n in UPPER_COLOURS])
    distances = np.linalg.norm(colours[asked][:, None] - centres, axis=2)
    predicted = np.array(UPPER_COLOURS)[distances.argmin(axis=1)]
    recalls = [
        (predicted[names[asked] == name] == name).mean()
        for name in UPPER_COLOURS
        if (names[asked] == name).any()
    ]
    assert 0.5 < np.mean(recalls) < 0.99


def test_a_person_resembles_itself_across_cameras_more_than_others() -> None:
    """Body stripes' mean colours, each camera's mean taken off, find persons above chance."""
    persons = PEOPLE[:40]
    here, there = (
        np.array([stripes(render_crop(p, camera, 100 + i)) for i, p in enumerate(persons)])
        for camera in (1, 3)
    )
    here, there = here - here.mean(axis=0), there - there.mean(axis=0)
    distances = np.linalg.norm(here[:, None] - there, axis=2)
    found = (distances.argmin(axis=1) == np.arange(len(persons))).mean()
    assert 0.2 < found < 0.99


def stripes(crop: NDArray[np.uint8]) -> NDArray[np.float64]:
    middle = crop[:, 24:40].astype(np.float64)
    colours: NDArray[np.float64] = middle.reshape(16, 8, 16, 3).mean(axis=(1, 2)).ravel()
    return colours


def test_a_distractor_is_deterministic_and_shows_the_place() -> None:
    first = render_distractor(camera=2, seed=3)
    assert first.shape == (128, 64, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, render_distractor(camera=2, seed=3))
    assert not np.array_equal(first, render_distractor(camera=2, seed=4))


def test_toy_images_are_varied_and_a_larger_count_begins_with_a_smaller_one() -> None:
    images = toy_images(12, seed=7)
    assert images.shape == (12, 128, 64, 3)
    assert images.dtype == np.uint8
    assert np.array_equal(images[:5], toy_images(5, seed=7))
    assert len({image.tobytes() for image in images}) == 12
    assert not np.array_equal(images, toy_images(12, seed=8))


def test_no_toy_images() -> None:
    assert toy_images(0).shape == (0, 128, 64, 3)


def test_wrong_arguments_are_input_errors() -> None:
    with pytest.raises(InputError, match=r"^Camera 7 does not exist: the toy cameras are 1 to 6"):
        render_crop(PEOPLE[0], camera=7, seed=0)
    with pytest.raises(InputError, match=r"^The seed of the toy images is -1: give 0 or a larger"):
        render_crop(PEOPLE[0], camera=1, seed=-1)
    with pytest.raises(InputError, match=r"^The seed of the toy images is -1"):
        toy_images(0, seed=-1)
    with pytest.raises(InputError, match=r"^The number of toy images is -2: give 0 or more\.$"):
        toy_images(-2)
