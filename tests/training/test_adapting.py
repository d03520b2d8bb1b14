"""Going on from a model gently: `model.adapt`, and the recipes that use it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_training import Stop, small, stopping_after

from passerby.data import Schema
from passerby.datasets import read_crops
from passerby.errors import InputError
from passerby.inference import Decision, RuntimeModel
from passerby.inference.leakage import hash_files
from passerby.inference.model_info import read_model_info, write_model_info
from passerby.models.model_file import load_person_model
from passerby.toy import write_toy
from passerby.training import Listener, Recipe, load_recipe, train
from passerby.training.checkpoint import NAME as CHECKPOINT
from passerby.training.fit import TrainingRun
from passerby.training.initialization import with_earlier_network
from passerby.training.split import Split

STILL = ["phases.0.learning_rate=1e-12", "phases.1.learning_rate=1e-12"]
KNOWN = ["data.held_out_persons=0", "loss.identity.weight=1", "model.neck=batchnorm"]
CLASSIFIER = "model.training_module.classifier.weight"


def loosely(model: Path, *overrides: str) -> Recipe:
    """Return a recipe that begins with what a model sees, and says nothing of its network."""
    gently = ["model.adapt=true", "phases.0.epochs=1", "phases.1.epochs=1"]
    recipe = small(*KNOWN, f"model.weights={model}", *gently, *overrides)
    said = {"weights", "adapt", "size"} | {
        override.split("=")[0].removeprefix("model.") for override in overrides
    }
    values = recipe.model.model_dump(include=said)
    return recipe.model_copy(update={"model": type(recipe.model)(**values)})


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Path:
    """A run on all of the toy's training persons; read only."""
    run = tmp_path_factory.mktemp("runs") / "earlier"
    train(small(*KNOWN), toy_data, run)
    return run


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each of twelve other persons; nothing is known of attributes."""
    place = tmp_path_factory.mktemp("strangers")
    write_toy(place / "toy", persons=12, seed=5, crops_per_person=6)
    crops = read_crops(place / "toy")
    for row, (person, path) in enumerate(zip(crops.person, crops.paths, strict=True)):
        folder = place / "folders" / person
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{row}.jpg")
    return place / "folders"


def test_it_begins_with_what_the_model_sees(earlier: Path, strangers: Path, tmp_path: Path) -> None:
    """With a learning rate of nothing: rows of the classifier are means of answers, scaled."""
    crops = read_crops(strangers)
    run = tmp_path / "run"
    model = RuntimeModel.load(train(loosely(earlier, *STILL), crops, run))
    seen = RuntimeModel.load(earlier).embed(crops)
    rows = load_file(run / CHECKPOINT)[CLASSIFIER]
    assert len(rows) == crops.person_count
    for row, code in zip(rows, np.unique(crops.person_codes), strict=True):
        mean = seen.vectors[crops.person_codes == code].mean(axis=0)
        np.testing.assert_allclose(row.numpy(), 0.5 * mean / np.linalg.norm(mean), atol=1e-4)
    # attributes that nobody annotated are kept
    assert model.schema == RuntimeModel.load(earlier).schema
    # batch normalisation has seen other crops: they are not equal to the last digit
    probabilities = model.embed(crops).attributes
    assert np.abs(probabilities - seen.attributes).mean() < 0.1


def test_attributes_that_nobody_annotated_are_those_that_it_saw(
    earlier: Path, strangers: Path, tmp_path: Path
) -> None:
    """The loss of the first step is the entropy between what it sees and a person's mean."""
    recipe = with_earlier_network(loosely(earlier, *STILL))
    crops = read_crops(strangers)
    going_on = TrainingRun(recipe, Split.of(crops, recipe), tmp_path / "run", Listener())
    samples = going_on._samples()
    seen = RuntimeModel.load(earlier).embed(crops).attributes
    for person in range(samples.person_count):
        mine = samples.persons == person
        expected = np.broadcast_to(seen[mine].mean(axis=0), seen[mine].shape)
        np.testing.assert_allclose(samples.attributes[mine], expected, atol=1e-4)


def test_annotated_attributes_are_learned_as_they_are(
    earlier: Path, toy_data: Path, tmp_path: Path
) -> None:
    recipe = with_earlier_network(loosely(earlier))
    crops = read_crops(toy_data)
    going_on = TrainingRun(recipe, Split.of(crops, recipe), tmp_path / "run", Listener())
    np.testing.assert_array_equal(going_on._samples().attributes, crops.labels)


def test_it_knows_all_that_it_learned_from(earlier: Path, strangers: Path, tmp_path: Path) -> None:
    crops = read_crops(strangers)
    model = RuntimeModel.load(train(loosely(earlier), crops, tmp_path / "run"))
    before = RuntimeModel.load(earlier)
    expected = np.union1d(before.seen.training, hash_files(crops))
    np.testing.assert_array_equal(model.seen.training, expected)
    learned_from = model.info.training.learned_from
    assert learned_from[:-1] == before.info.training.learned_from
    assert (learned_from[-1].crops, learned_from[-1].labelled) == (len(crops), 0)
    assert learned_from[-1].persons == crops.person_count
    assert model.info.training.frequencies == before.info.training.frequencies


def test_known_and_found_persons_are_resumed_together(
    earlier: Path, strangers: Path, toy_data: Path, tmp_path: Path
) -> None:
    others = tmp_path / "others"
    others.mkdir()
    for file in strangers.rglob("*.jpg"):
        shutil.copy(file, others)
    recipe = loosely(earlier, *LOOKING, f"data.unlabelled={others}")
    crops = read_crops(toy_data)
    train(recipe, crops, tmp_path / "whole")
    with pytest.raises(Stop):
        train(recipe, crops, tmp_path / "run", listener=stopping_after(1))
    train(recipe, crops, tmp_path / "run", resume=True)
    expected, found = (load_file(tmp_path / name / CHECKPOINT) for name in ("whole", "run"))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert len(found[CLASSIFIER]) > crops.person_count


@pytest.mark.parametrize("epoch", [1, 2])
def test_resumed_it_ends_with_the_same_weights(
    earlier: Path, strangers: Path, tmp_path: Path, epoch: int
) -> None:
    recipe, crops = loosely(earlier), read_crops(strangers)
    train(recipe, crops, tmp_path / "whole")
    with pytest.raises(Stop):
        train(recipe, crops, tmp_path / "run", listener=stopping_after(epoch))
    train(recipe, crops, tmp_path / "run", resume=True)
    expected, found = (load_file(tmp_path / name / CHECKPOINT) for name in ("whole", "run"))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


LOOKING = [
    "phases.0.pseudo_labels=true",
    "phases.1.pseudo_labels=true",
    "pseudo_labels={radius: 0.2, crops: 2}",
]


def test_crops_of_nobody_known_alone(earlier: Path, strangers: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for file in strangers.rglob("*.jpg"):
        shutil.copy(file, pictures)
    said: list[str] = []
    crops = read_crops(pictures)
    run = tmp_path / "run"
    recipe = loosely(earlier, *LOOKING)
    model = RuntimeModel.load(train(recipe, crops, run, listener=Listener(said.append)))
    training = model.info.training
    assert training.pseudo_persons > 1
    assert training.unlabelled_crops == len(crops)
    assert (training.crops, training.persons) == (0, {})
    assert len(load_file(run / CHECKPOINT)[CLASSIFIER]) == training.pseudo_persons
    assert model.schema == RuntimeModel.load(earlier).schema
    assert training.learned_from[-1].crops == len(crops)
    np.testing.assert_array_equal(model.seen.unlabelled, np.unique(hash_files(crops)))
    np.testing.assert_array_equal(model.seen.training, RuntimeModel.load(earlier).seen.training)
    assert sum("unlabelled crops show" in sentence for sentence in said) == 2
    with pytest.raises(Stop):
        train(recipe, crops, tmp_path / "again", listener=stopping_after(1))
    train(recipe, crops, tmp_path / "again", resume=True)
    expected, found = (load_file(r / CHECKPOINT) for r in (run, tmp_path / "again"))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([*LOOKING, "data.held_out_persons=3"], "name nobody, so that nobody can be kept back"),
        (
            [*LOOKING, "pseudo_labels={radius: 0.01, crops: 30}"],
            "None of these crops are alike enough to be a person, so that there is nobody to",
        ),
        ([], "no persons to tell apart"),
    ],
)
def test_what_cannot_be_adapted(
    earlier: Path, strangers: Path, tmp_path: Path, overrides: list[str], message: str
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for file in strangers.rglob("*.jpg"):
        shutil.copy(file, pictures)
    with pytest.raises(InputError, match=message):
        train(loosely(earlier, *overrides), read_crops(pictures), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_known_persons_are_not_looked_for(earlier: Path, strangers: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="These crops name persons: train adapt on them, or name"):
        train(loosely(earlier, *LOOKING), read_crops(strangers), tmp_path / "run")


def test_a_backbone_alone_has_seen_nobody(strangers: Path, tmp_path: Path) -> None:
    recipe = small(*KNOWN, "model.weights=none", "model.adapt=true")
    with pytest.raises(InputError, match=r"model\.adapt: model\.weights is none, which is no ear"):
        train(recipe, read_crops(strangers), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_neither_knows_attributes(strangers: Path, tmp_path: Path, toy_data: Path) -> None:
    alone = small(*KNOWN, "loss.attributes.weight=0")
    train(alone, toy_data, tmp_path / "earlier")
    with pytest.raises(InputError, match=r"nor the data know any attributes: set loss\.attrib"):
        train(loosely(tmp_path / "earlier"), read_crops(strangers), tmp_path / "run")
    recipe = loosely(tmp_path / "earlier", "loss.attributes.weight=0")
    assert RuntimeModel.load(train(recipe, read_crops(strangers), tmp_path / "run")).schema is None


def test_attributes_of_another_schema_are_left_out(
    toy_data: Path, earlier: Path, tmp_path: Path
) -> None:
    crops = read_crops(toy_data)
    own = crops.replace(labels=crops.labels[:, :1], schema=Schema.of(("helmet",)))
    said: list[str] = []
    recipe = loosely(earlier, "data.attributes=market1501")
    model = train(recipe, own, tmp_path / "run", listener=Listener(said.append))
    assert "Its attributes (helmet) cannot be mapped to market1501: they are left out." in said
    assert RuntimeModel.load(model).schema == RuntimeModel.load(earlier).schema
    with pytest.raises(InputError, match="answers other attributes"):
        train(loosely(earlier), own, tmp_path / "other")


def test_unknown_attributes_alone_are_remembered(
    earlier: Path, toy_data: Path, tmp_path: Path
) -> None:
    """Cell by cell: what is annotated stays, what is not is the mean of what the model sees."""
    crops = read_crops(toy_data)
    labels = crops.labels.copy()
    labels[:, 5:] = np.nan
    crops = crops.replace(labels=labels)
    recipe = with_earlier_network(loosely(earlier))
    going_on = TrainingRun(recipe, Split.of(crops, recipe), tmp_path / "run", Listener())
    samples = going_on._samples()
    np.testing.assert_array_equal(samples.attributes[:, :5], labels[:, :5])
    seen = RuntimeModel.load(earlier).embed(crops).attributes
    mine = samples.persons == 0
    expected = np.broadcast_to(seen[mine, 5:].mean(axis=0), seen[mine, 5:].shape)
    np.testing.assert_allclose(samples.attributes[mine, 5:], expected, atol=1e-4)
    known = RuntimeModel.load(earlier).info.training.frequencies
    assert going_on._frequencies()[5:] == pytest.approx(known[5:])


def test_the_decision_is_kept_with_the_attributes(
    earlier: Path, strangers: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "earlier"
    shutil.copytree(earlier / "model", changed)
    info = read_model_info(changed)
    decision = Decision("thresholds", (0.3,) * len(info.schema_))
    write_model_info(changed, info.model_copy(update={"decision": decision}))
    model = train(loosely(changed), read_crops(strangers), tmp_path / "run")
    assert RuntimeModel.load(model).info.decision == decision


def test_an_earlier_model_that_knows_no_attributes_is_not_asked_for_them(
    toy_data: Path, tmp_path: Path
) -> None:
    train(small(*KNOWN, "loss.attributes.weight=0"), toy_data, tmp_path / "earlier")
    crops = read_crops(toy_data)
    labels = crops.labels.copy()
    labels[:20] = np.nan
    recipe = with_earlier_network(loosely(tmp_path / "earlier"))
    split = Split.of(crops.replace(labels=labels), recipe)
    going_on = TrainingRun(recipe, split, tmp_path / "run", Listener())
    assert np.isnan(going_on._samples().attributes[:20]).all()


def test_the_network_is_the_earlier_ones(earlier: Path, strangers: Path, tmp_path: Path) -> None:
    recipe = with_earlier_network(loosely(earlier))
    expected = load_person_model(earlier).architecture
    assert recipe.model.architecture == expected.model_copy(update={"size": recipe.model.size})
    with pytest.raises(
        InputError,
        match=r"model\.adapt takes the network of .* whose pool is average, not gem",
    ):
        train(loosely(earlier, "model.pool=gem"), read_crops(strangers), tmp_path / "run")


def test_a_run_whose_earlier_model_has_gone_is_not_resumed(
    earlier: Path, toy_data: Path, tmp_path: Path
) -> None:
    """It would forget what it has seen."""
    shutil.copytree(earlier / "model", tmp_path / "base")
    recipe = small(*KNOWN, f"model.weights={tmp_path / 'base'}")
    with pytest.raises(Stop):
        train(recipe, toy_data, tmp_path / "run", listener=stopping_after(1))
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(InputError, match=r"model\.weights: .*base does not exist"):
        train(recipe, toy_data, tmp_path / "run", resume=True)


def test_a_run_whose_earlier_model_is_another_one_now(
    earlier: Path, toy_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(earlier / "model", tmp_path / "base")
    recipe = loosely(tmp_path / "base")
    with pytest.raises(Stop):
        train(recipe, toy_data, tmp_path / "run", listener=stopping_after(1))
    shutil.rmtree(tmp_path / "base")
    train(small(*KNOWN, "seed=3", "phases.0.epochs=1"), toy_data, tmp_path / "other")
    shutil.copytree(tmp_path / "other" / "model", tmp_path / "base")
    with pytest.raises(InputError, match=r"begun with other data, or another model\.weights"):
        train(recipe, toy_data, tmp_path / "run", resume=True)


@pytest.mark.parametrize("name", ["adapt", "adapt-unlabelled"])
def test_the_recipes_go_on_from_the_model_that_ships(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.model.weights == "shipped"
    network = with_earlier_network(recipe).model.architecture
    assert network == load_person_model().architecture
