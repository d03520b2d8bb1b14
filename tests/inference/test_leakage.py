import hashlib
from pathlib import Path

import numpy as np
import pytest

from passerby.data import Crops
from passerby.errors import InputError
from passerby.inference import ModelInfo, Preprocessing
from passerby.inference.leakage import (
    SeenFiles,
    find_known_crops,
    has_training_crops,
    hash_files,
    leave_out_seen,
    select_for_calibration,
)

INFO = ModelInfo(
    name="x",
    embedding_size=1,
    preprocessing=Preprocessing(height=8, width=8, mean=(0, 0, 0), std=(1, 1, 1)),
    architecture={},
)
NOTHING = SeenFiles.of()


@pytest.fixture
def crops(tmp_path: Path) -> Crops:
    """Persons a a b c c d d; the last crop is a distractor."""
    paths = [tmp_path / f"{i}.jpg" for i in range(8)]
    for number, path in enumerate(paths):
        path.write_bytes(f"crop {number}".encode())
    return Crops(paths, person=[*"aabccdd", ""], role=[""] * 7 + ["distractor"])


def names(crops: Crops) -> list[str]:
    return [path.stem for path in crops.paths]


def test_the_first_eight_bytes_of_each_digest(crops: Crops) -> None:
    expected = [
        int.from_bytes(hashlib.sha256(f"crop {number}".encode()).digest()[:8], "big")
        for number in range(8)
    ]
    assert hash_files(crops).tolist() == expected


def test_of_its_own_data_only_the_held_out_persons(crops: Crops) -> None:
    """Trained on a's first crop and b; d was kept for calibration: c is left, and a distractor."""
    seen = SeenFiles.of(training=crops[np.array([0, 2])], calibration=crops[np.array([5])])
    assert has_training_crops(crops, seen)
    assert names(leave_out_seen(crops, INFO, seen)) == ["3", "4", "7"]
    assert names(select_for_calibration(crops, INFO, seen)) == ["5", "6"]


def test_other_names_folders_and_persons_hide_nothing(crops: Crops, tmp_path: Path) -> None:
    seen = SeenFiles.of(training=crops[:3])
    moved = tmp_path / "elsewhere" / "photo.png"
    moved.parent.mkdir()
    moved.write_bytes(crops.paths[0].read_bytes())
    with pytest.raises(InputError, match="was trained on all of these crops"):
        leave_out_seen(Crops([moved]), INFO, seen)
    with pytest.raises(InputError, match="was trained on all of these crops"):
        leave_out_seen(Crops([moved], person=["somebody else"]), INFO, seen)


def test_persons_of_two_datasets_are_two(crops: Crops) -> None:
    """a of the other dataset has no training crop, so a's second crop there may be scored."""
    seen = SeenFiles.of(training=crops[:1])
    both = crops[:3].replace(dataset=["one", "two", "one"])
    assert names(leave_out_seen(both, INFO, seen)) == ["1", "2"]


def test_of_other_data_everyone(crops: Crops) -> None:
    assert leave_out_seen(crops, INFO, NOTHING) is crops
    # what was calibrated on alone is scored whole
    assert leave_out_seen(crops, INFO, SeenFiles.of(calibration=crops)) is crops
    assert select_for_calibration(crops, INFO, NOTHING) is crops


def test_crops_without_persons_are_left_out_one_by_one(crops: Crops) -> None:
    images = Crops(crops.paths)
    seen = SeenFiles.of(training=images[2:5])
    assert names(leave_out_seen(images, INFO, seen)) == ["0", "1", "5", "6", "7"]


def test_nobody_was_kept_for_calibration(crops: Crops) -> None:
    with pytest.raises(InputError, match="kept no training persons to calibrate on"):
        select_for_calibration(crops, INFO, SeenFiles.of(training=crops[:3]))


def test_unlabelled_crops_are_known_too(crops: Crops) -> None:
    seen = SeenFiles.of(unlabelled=crops[:1])
    assert find_known_crops(crops, seen.unlabelled).tolist() == [True, True] + [False] * 6
    assert not has_training_crops(crops, seen)


def test_they_come_back_from_a_model_file(crops: Crops, tmp_path: Path) -> None:
    seen = SeenFiles.of(training=crops[:3], unlabelled=crops[3:4])
    seen.write(tmp_path)
    found = SeenFiles.read(tmp_path)
    for name in ("training", "unlabelled", "calibration"):
        np.testing.assert_array_equal(getattr(found, name), getattr(seen, name))
    assert len(SeenFiles.read(tmp_path / "elsewhere").training) == 0


@pytest.mark.parametrize("content", [b"", b"PK", b"nothing of the kind"])
def test_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "seen_files.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"seen_files\.npz is damaged .*save the model again"):
        SeenFiles.read(tmp_path)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    harm = np.array([{"a": 1}], object)
    np.savez(tmp_path / "seen_files.npz", training=harm, unlabelled=harm, calibration=harm)
    with pytest.raises(InputError, match="is damaged"):
        SeenFiles.read(tmp_path)
