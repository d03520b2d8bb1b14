import numpy as np
import pytest
from PIL import Image

from passerby.errors import InputError
from passerby.toy.camera import CAMERAS, camera_number
from passerby.toy.rng import source


def test_there_are_six_cameras() -> None:
    assert sorted(CAMERAS) == [1, 2, 3, 4, 5, 6]
    assert camera_number(3).number == 3


@pytest.mark.parametrize("number", [0, 7, -1])
def test_an_unknown_camera_is_an_input_error(number: int) -> None:
    message = f"Camera {number} does not exist: the toy cameras are 1 to 6."
    with pytest.raises(InputError) as error:
        camera_number(number)
    assert str(error.value) == message


def test_cameras_record_the_same_grey_differently() -> None:
    grey = Image.new("RGB", (64, 128), (128, 128, 128))
    means = [camera.capture(grey, 1.0, source(0)).mean(axis=(0, 1)) for camera in CAMERAS.values()]
    for i, mean in enumerate(means):
        for other in means[:i]:
            assert np.abs(mean - other).max() > 3


def test_exposure_brightens() -> None:
    grey = Image.new("RGB", (64, 128), (128, 128, 128))
    camera = CAMERAS[1]
    dark, bright = (camera.capture(grey, exposure, source(0)).mean() for exposure in (0.85, 1.15))
    assert bright > dark + 20


def test_noise_has_the_camera_s_own_strength() -> None:
    grey = Image.new("RGB", (64, 128), (128, 128, 128))
    for camera in CAMERAS.values():
        recorded = camera.capture(grey, 1.0, source(1))
        assert recorded.std(axis=(0, 1)).mean() == pytest.approx(camera.noise, rel=0.1)
