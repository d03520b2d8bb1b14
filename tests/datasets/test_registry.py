from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from passerby.data import Crops
from passerby.datasets import known_datasets, read_crops, recognize, survey
from passerby.datasets.problems import Problems
from passerby.datasets.registry import register_dataset, unregister_dataset
from passerby.errors import InputError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


class Parade:
    """A dataset of somebody else: `parade.txt` beside images named by who marches."""

    name = "parade"
    title = "Parade"
    layout = "parade.txt, PERSON.jpg"
    terms = "Ask the band."
    splits = ("train", "encore")
    scored = ("encore",)
    protocol = "course"

    def recognizes(self, folder: Path) -> bool:
        return (folder / "parade.txt").is_file()

    def read(self, folder: Path, split: str, problems: Problems) -> Crops:
        paths = sorted(folder.glob("*.jpg"))
        crops = Crops(paths, dataset=["parade"] * len(paths), person=[p.stem for p in paths])
        return crops[:1] if split == "encore" else crops


@pytest.fixture
def register() -> Iterator[Callable]:
    names = []

    def register(dataset: Parade, **options: object) -> None:
        register_dataset(dataset, **options)  # type: ignore[arg-type]
        names.append(dataset.name)

    yield register
    for name in names:
        unregister_dataset(name)


def test_the_most_special_layouts_come_first() -> None:
    assert list(known_datasets()) == [
        *("manifest", "cuhk03", "peta", "pa100k", "market1501", "course"),
        *("track_folders", "person_folders", "plain"),
    ]


def test_every_dataset_says_what_it_is() -> None:
    for name, dataset in known_datasets().items():
        assert dataset.name == name
        assert dataset.title
        assert dataset.layout
        assert dataset.protocol in ("course", "market", "attributes")
        assert set(dataset.scored) <= set(dataset.splits)
        generic = name in ("manifest", "track_folders", "person_folders", "plain")
        assert bool(dataset.terms) is not generic


def test_a_dataset_from_outside_is_recognised(tmp_path: Path, register: Callable) -> None:
    folder = touch(tmp_path, "parade.txt", "ann.jpg", "bob.jpg")
    assert recognize(folder).name == "plain"
    register(Parade())
    assert recognize(folder).name == "parade"
    assert read_crops(folder).person.tolist() == ["ann", "bob"]
    assert read_crops(folder, "encore").person.tolist() == ["ann"]
    with pytest.raises(InputError, match="'query' is not a split of Parade: choose from train, en"):
        read_crops(folder, "query")
    unregister_dataset("parade")
    assert recognize(folder).name == "plain"
    register_dataset(Parade())


def test_names_are_given_once(register: Callable) -> None:
    register(Parade())
    with pytest.raises(ValueError, match="there is a dataset 'parade' already"):
        register_dataset(Parade())


def test_a_common_layout_is_meant_where_no_other_fits(tmp_path: Path, register: Callable) -> None:
    register(Parade(), generic=True)
    assert recognize(touch(tmp_path, "parade.txt", "ann.jpg")).name == "plain"


def test_two_layouts_in_one_folder(tmp_path: Path, register: Callable) -> None:
    folder = touch(tmp_path, "parade.txt", "ann.jpg", "bounding_box_train/0001_c1_1.jpg")
    register(Parade())
    message = r"two layouts, Market-1501 \(.*\) and Parade \(parade.txt, .*\): move one of them"
    with pytest.raises(InputError, match=message):
        recognize(folder)
    unregister_dataset("parade")
    # who knows better takes precedence
    register_dataset(Parade(), refines=["market1501"])
    assert recognize(folder).name == "parade"


def test_a_dataset_with_one_split_is_read_whatever_is_asked(tmp_path: Path) -> None:
    seen = survey(touch(tmp_path, "a.jpg"), "gallery")
    assert (seen.split, len(seen.crops)) == ("train", 1)


def test_folders_of_persons_and_of_tracks(tmp_path: Path) -> None:
    persons = touch(tmp_path / "p", "alice/1_c1.jpg", "alice/2_c3.jpg", "0002/3_c1.jpg")
    crops = read_crops(persons)
    assert recognize(persons).name == "person_folders"
    assert crops.person.tolist() == ["0002", "alice", "alice"]
    assert crops.camera.tolist() == ["1", "1", "3"]
    assert crops.dataset is None

    tracks = touch(tmp_path / "t", "cam01/7/1.jpg", "cam02/7/1.jpg", "lobby.mp4/12/1.jpg")
    crops = read_crops(tracks)
    assert recognize(tracks).name == "track_folders"
    assert crops.track.tolist() == ["7", "7", "12"]
    assert crops.camera.tolist() == ["cam01", "cam02", ""]
    assert crops.source.tolist() == ["", "", "lobby.mp4"]
    assert crops.person is None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["img1/000001.jpg", "gt/gt.txt"], "frames of a video .a MOTChallenge sequence"),
        (["MOT17-02/img1/000001.jpg", "MOT17-02/seqinfo.ini"], "frames of a video"),
        (["list_train.txt", "train/0000/1.jpg"], "is MSMT17 .list_train.txt., a layout that is"),
        (["mask_train_v2/0000/1.jpg"], "is MSMT17 .mask_train_v2"),
        (
            ["train/cam01/person01/1.jpg"],
            r"holds 1 folder \(train/\); give its folder train/ with a `pattern` such as "
            r"cam\{camera\}/\{person\}/\*\.jpg",
        ),
        (["x/bounding_box_train/0001_c1_1.jpg"], r"its folder x/ is known \(Market-1501\)"),
        (["images/1.jpg"], "give its folder images/ itself"),
        (["a.txt", "b.txt", "c.txt", "d.txt"], r"4 files \(a.txt, b.txt, c.txt and 1 more\)"),
    ],
)
def test_what_is_not_recognised_is_described(
    tmp_path: Path, files: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        recognize(touch(tmp_path, *files))


def test_what_is_missing_may_be_accepted() -> None:
    strict, lenient = Problems(), Problems(accept_missing=True)
    for problems in (strict, lenient):
        problems.add_missing("98 of 100 images are not there")
    with pytest.raises(
        InputError, match="98 of 100 images are not there: add them, or set `accept_missing`"
    ):
        strict.raise_first()
    lenient.raise_first()
    assert lenient.remarks == ["98 of 100 images are not there; they are left out."]
