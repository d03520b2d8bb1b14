import shutil
from pathlib import Path

import numpy as np
import pytest

from passerby.data import Attribute, Crops, Schema
from passerby.datasets.joining import Source
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import RuntimeModel
from passerby.toy import write_toy
from passerby.training import load_recipe, train
from passerby.training.recipe import DataSection
from passerby.training.sources import read_sources, unused_keys

SHORT = [
    "model.backbone=test_efficientnet",
    "data.held_out_persons=2",
    "batch_size=8",
    "instances_per_person=2",
    "model.size=[64, 32]",
    "model.embedding_size=24",
    "phases=[{optimizer: adamw, epochs: 1, learning_rate: 0.001}]",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn datasets of one layout, and one of attributes alone."""
    base = tmp_path_factory.mktemp("sets")
    for number, name in enumerate(("north", "south")):
        write_toy(base / name, 8, seed=number, crops_per_person=4)
    (base / "looks").mkdir()
    lines = ["path,hat"]
    for path in sorted((base / "south" / "test").iterdir())[:12]:
        shutil.copy(path, base / "looks" / path.name)
        lines.append(f"{path.name},1")
    (base / "looks" / "crops.csv").write_text("\n".join(lines))
    return base


def test_a_recipe_names_its_datasets(folder: Path) -> None:
    section = DataSection(sets=["north", {"path": "south", "splits": ["train", "gallery"]}])
    north, south = read_sources(section, folder)
    assert (north.title, south.title) == ("north", "south")
    assert set(south.crops.dataset) == {"course in south"}
    assert len(south.crops) > len(north.crops)
    with pytest.raises(InputError, match="give the one folder below which they lie"):
        read_sources(section, [folder / "north", folder / "south"])
    with pytest.raises(InputError, match="No dataset to train on is given"):
        read_sources(DataSection(), [])


def test_copies_under_other_names(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "north", tmp_path / "again")
    with pytest.raises(InputError, match="north and again hold the same picture, .*give each once"):
        read_sources(DataSection(), [folder / "north", tmp_path / "again"])


def test_several_are_learned_from_together(folder: Path, tmp_path: Path) -> None:
    recipe = load_recipe("smoke", [*SHORT, "data.calibration_persons=0", "data.balance=0.5"])
    data = [folder / "north", folder / "south"]
    model = RuntimeModel.load(train(recipe, data, tmp_path / "run"))
    training = model.info.training
    assert {name: len(people) for name, people in training.persons.items()} == {
        "course in north": 6,
        "course in south": 6,
    }
    assert {name: len(people) for name, people in training.held_out_persons.items()} == {
        "course in north": 2,
        "course in south": 2,
    }
    assert [(f.name, f.persons, f.crops, f.labelled) for f in training.learned_from] == [
        ("north", 6, 24, 24),
        ("south", 6, 24, 24),
    ]
    assert all("academic research" in found.terms for found in training.learned_from)
    assert (model.schema, model.info.embedding_size) == (MARKET1501_ATTRIBUTES, 24)
    header = (tmp_path / "run" / "log.csv").read_text().splitlines()[0].split(",")
    assert "identity course in north loss" in header
    # what it was trained on is known again, whatever it is called
    assert len(model.seen.training) == 48


def test_crops_of_nobody_teach_what_people_look_like(folder: Path, tmp_path: Path) -> None:
    schema = Schema((Attribute("hat"),))
    named = Crops(
        sorted((folder / "north" / "train").iterdir()),
        person=[p.name[:4] for p in sorted((folder / "north" / "train").iterdir())],
    )
    pictures = sorted((folder / "looks").glob("*.jpg"))
    looks = Crops(pictures, labels=np.ones((len(pictures), 1)), schema=schema)
    recipe = load_recipe("smoke", [*SHORT, "data.held_out_persons=0", "data.calibration_persons=0"])
    sources = [Source("named", named), Source("looks", looks)]
    model = RuntimeModel.load(train(recipe, sources, tmp_path / "run"))
    assert model.schema == schema
    assert [(f.persons, f.labelled) for f in model.info.training.learned_from] == [
        (8, 0),
        (0, len(pictures)),
    ]


def test_a_dataset_that_teaches_nothing(folder: Path, tmp_path: Path) -> None:
    looks = Source("looks", Crops(sorted((folder / "looks").glob("*.jpg"))))
    recipe = load_recipe("smoke", SHORT)
    with pytest.raises(InputError, match="looks teaches nothing that this recipe learns"):
        train(recipe, [folder / "north", looks], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_attributes_that_are_not_learned_need_not_fit(folder: Path, tmp_path: Path) -> None:
    pictures = sorted((folder / "south" / "train").iterdir())
    named = Crops(
        pictures,
        person=[path.name[:4] for path in pictures],
        labels=np.ones((len(pictures), 1)),
        schema=Schema((Attribute("helmet"),)),
    )
    sources = [folder / "north", Source("hats", named)]
    with pytest.raises(InputError, match=r"; helmet\) have no name in common"):
        train(load_recipe("smoke", SHORT), sources, tmp_path / "run")
    north, hats = read_sources(DataSection(), sources, labels=False)
    assert north.crops.labels is None
    assert hats.crops.labels is None


@pytest.mark.parametrize(
    ("overrides", "sets", "sentences"),
    [
        (["data.balance=0.5"], 1, ["data.balance changes nothing: there is a single dataset."]),
        (["data.balance=0.5", "loss.identity.within_sets=true"], 2, []),
        (
            ["loss.identity.within_sets=true", "loss.identity.weight=0"],
            2,
            ["loss.identity.within_sets changes nothing: loss.identity.weight is 0."],
        ),
        (
            ["model.style.stages=1"],
            2,
            ["model.style.stages changes nothing: model.style.kind is none."],
        ),
        (["model.style.stages=1", "model.style.kind=instance_norm"], 1, []),
        (
            ["loss.attributes.weight=0", "data.sets=[{path: x, mapping: y.yaml}]"],
            2,
            ["data.sets.0.mapping changes nothing: no attributes are learned."],
        ),
        (
            ["pseudo_labels.radius=0.2"],
            1,
            ["pseudo_labels changes nothing: no phase looks for persons."],
        ),
        (
            ["data.calibration_pairs=across", "data.calibration_persons=0"],
            1,
            ["data.calibration_pairs changes nothing: nobody is kept for calibration."],
        ),
    ],
)
def test_keys_that_change_nothing(overrides: list[str], sets: int, sentences: list[str]) -> None:
    sources = [Source(str(number), Crops(["a.jpg"])) for number in range(sets)]
    assert unused_keys(load_recipe("smoke", overrides), sources) == sentences


def test_a_set_with_too_few_persons_to_calibrate_on(folder: Path, tmp_path: Path) -> None:
    sets = "data.sets=[{path: north, calibration_persons: 4}, {path: south}]"
    recipe = load_recipe("smoke", [*SHORT, sets, "data.calibration_persons=3"])
    with pytest.raises(InputError, match="south: there are 12 crops of 3 persons, too few"):
        train(recipe, folder, tmp_path / "run")


def test_pairs_across_cameras_that_are_not_known(folder: Path, tmp_path: Path) -> None:
    pictures = sorted((folder / "south" / "train").iterdir())
    named = Crops(pictures, person=[path.name[:4] for path in pictures])
    asked = ["data.calibration_persons=4", "data.calibration_pairs=across"]
    recipe = load_recipe("smoke", [*SHORT, "loss.attributes.weight=0", *asked])
    with pytest.raises(InputError, match="crops are of no known camera, but data.calibration_pair"):
        train(recipe, named, tmp_path / "run")


def test_a_manifest_below_the_folder_says_where_its_paths_start(folder: Path) -> None:
    pictures = sorted((folder / "south" / "train").iterdir())
    lines = ["path,person", *(f"{path.name},{path.name[:4]}" for path in pictures)]
    (folder / "mine").mkdir()
    (folder / "mine" / "crops.csv").write_text("\n".join(lines) + "\n")
    entry = "data.sets=[{path: mine/crops.csv, root: south/train}]"
    (source,) = read_sources(load_recipe("smoke", [entry]).data, folder)
    assert list(source.crops.paths) == pictures


def test_what_is_wrong_with_a_set_is_told_in_the_recipes_words(folder: Path) -> None:
    for entry, message in (
        ("{path: north, root: /none}", r"data.sets.1 \(north\): .*root"),
        ("{path: north, splits: [foo]}", r"data.sets.1 \(north\): 'foo' is not a split"),
    ):
        section = load_recipe("smoke", [f"data.sets=[south, {entry}]"]).data
        with pytest.raises(InputError, match=message) as caught:
            read_sources(section, folder)
        assert "`" not in str(caught.value)


def test_images_may_be_missing_of_every_set() -> None:
    recipe = load_recipe("general-cpu").accepting_missing()
    assert all(entry.accept_missing for entry in recipe.data.sets)
    assert recipe.data.sets[1].splits == ("train", "query", "gallery")
