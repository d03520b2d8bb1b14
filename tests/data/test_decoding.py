import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.data import Crops, decoding
from passerby.data.decoding import batches, decode, decode_all, load_crop, resize
from passerby.errors import InputError
from passerby.toy import toy_images

CROP = toy_images(1)[0]


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tif"])
def test_lossless_formats_give_the_pixels_back(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == ".webp" else {}
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(CROP), **options)
    np.testing.assert_array_equal(decode(path), CROP)


def test_jpeg_agrees_with_pillow(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(CROP), quality=90)
    reference = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert np.abs(decode(path) - reference).max() <= 2


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [
        *((".png", mode) for mode in ("L", "P", "LA", "RGBA", "1")),
        *((".tif", mode) for mode in ("L", "P", "LA", "RGBA", "1", "CMYK")),
        *((".jpg", mode) for mode in ("L", "CMYK")),
    ],
)
def test_other_colour_modes_are_converted(tmp_path: Path, suffix: str, mode: str) -> None:
    image = Image.fromarray(CROP).convert(mode)
    options = {"quality": 95} if suffix == ".jpg" else {}
    pixels = decode(saved(tmp_path / f"a{suffix}", image, **options))
    assert pixels.shape == (128, 64, 3)
    assert pixels.dtype == np.uint8
    expected = np.asarray(image.convert("RGB")).astype(float)
    assert np.abs(pixels - expected).mean() < 4


def test_16_bit_grey_keeps_its_brightness(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 128 * 64).reshape(128, 64).astype(np.uint16)
    pixels = decode(saved(tmp_path / "a.png", Image.fromarray(ramp)))
    assert pixels.shape == (128, 64, 3)
    np.testing.assert_allclose(pixels[..., 0], ramp / 257, atol=1)


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(CROP)
    exif = image.getexif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.jpg", image, exif=exif.tobytes())
    assert decode(path).shape == (64, 128, 3)


def jpeg_bytes() -> bytes:
    file = io.BytesIO()
    Image.fromarray(CROP).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jpg", b"", "is empty: replace or remove it"),
        ("a.jpg", b"not an image at all", "is not an image"),
        ("a.jpg", jpeg_bytes()[:700], "is damaged or cut off"),
        ("a.jpg", jpeg_bytes()[:-400], "is damaged or cut off"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, r"is (damaged|not an image)"),
        ("a.jpg", b"\xff\xd8\xff" + b"\0" * 40, r"is (damaged|not an image)"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        decode(path)
    assert str(path) in str(caught.value)


def test_formats_whose_readers_start_programs_are_no_images(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (16, 32)).save(path, "EPS")
    with pytest.raises(InputError, match="is not an image"):
        decode(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot read .*none\.jpg: No such file"):
        decode(tmp_path / "none.jpg")


def test_one_pixel_is_no_pedestrian(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        path = saved(tmp_path / name, Image.new("RGB", (1, 1)))
        with pytest.raises(InputError, match="1×1 pixels, too few to show a pedestrian"):
            decode(path)


@pytest.mark.parametrize("side", [8_000, 20_000])
def test_an_image_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    path = saved(tmp_path / "bomb.png", Image.new("1", (side, side)))
    with pytest.raises(InputError, match="cut out the pedestrian first"):
        decode(path)


def test_resizing_is_pillows_bilinear() -> None:
    expected = Image.fromarray(CROP).resize((32, 64), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resize(CROP, (64, 32)), np.asarray(expected))
    assert resize(CROP, (128, 64)) is CROP


def test_decoding_in_threads_keeps_the_order(tmp_path: Path) -> None:
    images = toy_images(300)
    paths = []
    for i, image in enumerate(images):
        paths.append(saved(tmp_path / f"{i}.bmp", Image.fromarray(image)))
    decoded = list(batches(decode_all(Crops(paths), (128, 64)), 128))
    assert [len(batch) for batch in decoded] == [128, 128, 44]
    np.testing.assert_array_equal(np.concatenate(decoded), images)


def test_a_broken_crop_stops_the_decoding(tmp_path: Path) -> None:
    good = saved(tmp_path / "a.bmp", Image.fromarray(CROP))
    bad = tmp_path / "b.jpg"
    bad.touch()
    decoded = decode_all(Crops([good, bad, good]), (128, 64))
    assert next(decoded).shape == (128, 64, 3)
    with pytest.raises(InputError, match=r"b\.jpg is empty"):
        next(decoded)


def test_a_box_is_cut_out(tmp_path: Path) -> None:
    picture = saved(tmp_path / "a.bmp", Image.fromarray(CROP))
    boxes = [(10, 20, 30, 40), (-5, -5, 25, 25), (0, 0, 0, 0)]
    crops = Crops([picture] * 3, box=boxes)
    np.testing.assert_array_equal(load_crop(crops, 0), CROP[20:60, 10:40])
    np.testing.assert_array_equal(load_crop(crops, 1), CROP[:20, :20])
    np.testing.assert_array_equal(load_crop(crops, 2), CROP)
    outside = Crops([picture], box=[(60, 0, 30, 30)])
    with pytest.raises(InputError, match=r"a\.bmp: of the box 60 0 30 30 fewer than 8 pixels"):
        load_crop(outside, 0)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    for name in ("pipe.jpg", "folder.jpg", "loop.jpg"):
        with pytest.raises(InputError, match=rf"{name}.*: .*remove it"):
            decode(tmp_path / name)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(InputError, match="too large for a crop"):
        decode(path)


@pytest.mark.parametrize(
    ("cores", "told", "threads"),
    [(1, "", 2), (2, "", 2), (6, "", 6), (64, "", 16), (64, "4", 4), (64, "1", 2), (6, "many", 6)],
)
def test_as_many_threads_decode_as_there_are_cores(
    cores: int, told: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    monkeypatch.setattr(decoding.os, "sched_getaffinity", lambda process: set(range(cores)))
    started: list[int] = []
    pool = decoding.ThreadPoolExecutor

    def noted(count: int) -> object:
        started.append(count)
        return pool(count)

    monkeypatch.setattr(decoding, "ThreadPoolExecutor", noted)
    assert list(decoding.map_ahead(lambda item: item * 2, range(40))) == list(range(0, 80, 2))
    assert list(decoding.map_ahead(lambda item: item, range(3), threads=1)) == [0, 1, 2]
    assert started == [threads, 1]
