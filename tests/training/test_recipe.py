from pathlib import Path

import pytest

from passerby.errors import InputError
from passerby.training.recipe import Recipe, load_recipe, shipped_recipes

SMALL = """
name: small
phases:
  - {optimizer: adamw, epochs: 2, learning_rate: 0.001}
"""


def written(path: Path, text: str = SMALL) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_valid_and_named_after_its_file(name: str) -> None:
    assert load_recipe(name).name == name


def test_which_recipes_need_persons() -> None:
    alone = {name for name in shipped_recipes() if not load_recipe(name).needs_persons}
    assert alone == {
        "course-attention",
        "course-attention-cpu",
        "course-attributes",
        "course-attributes-cpu",
    }
    assert load_recipe("course-attributes", ["instances_per_person=4"]).needs_persons


def test_the_reports_recipes() -> None:
    plain, attention = load_recipe("course-attributes"), load_recipe("course-attention")
    assert [(p.optimizer, p.epochs) for p in plain.phases] == [("adamw", 50), ("sgd", 100)]
    assert plain.batch_size == 128
    assert plain.model.backbone == "resnet50.tv_in1k"
    assert plain.loss.attributes.weighting == "deepmar"
    assert attention.model.attention.kind == "both"
    same = attention.model_copy(update={"name": plain.name, "model": plain.model})
    assert same == plain


def test_a_recipe_survives_yaml(tmp_path: Path) -> None:
    recipe = load_recipe("course-attention")
    assert load_recipe(written(tmp_path / "r.yaml", recipe.to_yaml())) == recipe


def test_overrides(tmp_path: Path) -> None:
    recipe = load_recipe(
        written(tmp_path / "r.yaml"),
        ["phases.0.epochs=7", "model.attention.kind=spatial", "model.size=[64, 32]"],
    )
    assert recipe.phases[0].epochs == 7
    assert recipe.model.attention.kind == "spatial"
    assert recipe.model.size == (64, 32)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.backbon=x", "unknown key 'model.backbon': did you mean 'backbone'?"),
        ("model.attention.knd=x", "unknown key 'model.attention.knd': did you mean 'kind'?"),
        ("phases.0.epoch=3", "unknown key 'phases.0.epoch': did you mean 'epochs'?"),
        ("batchsize=3", "unknown key 'batchsize': did you mean 'batch_size'?"),
        ("zzz=3", "unknown key 'zzz': known are augment, batch_size, data"),
        ("phases.1.epochs=3", "'1' is not a position: choose one from 0 to 0"),
        ("name.x=3", "name is a value, not a section"),
        ("epochs", "write it as key.key=value"),
        ("batch_size=1", "batch_size is 1: input should be greater than or equal to 2"),
        ("model.embedding_size=1", "model.embedding_size is 1, but of one number only the sign"),
        (
            "data.epoch_crops=1000000000000",
            "data.epoch_crops is 1000000000000: input should be less",
        ),
        ("model.style=5", "model.style is 5: it holds keys of its own: write them below it"),
        ("batch_size=many", "batch_size is 'many': input should be a valid integer"),
        (
            "loss.attributes.weighting=heavy",
            "loss.attributes.weighting is 'heavy': input should be 'none' or 'deepmar'",
        ),
        ("phases=[]", "phases is []:"),
        ("model.size=[64]", "model.size.1 is missing"),
        ("name=[", "is not a YAML value"),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_recipe(written(tmp_path / "r.yaml"), [override])
    assert message in str(caught.value)


def test_what_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recipe 'none': give a YAML file or one of adapt, "):
        load_recipe("none")
    with pytest.raises(InputError, match=r"r\.yaml, line 3 is not valid YAML"):
        load_recipe(written(tmp_path / "r.yaml", "a: 1\nb: [\n"))
    with pytest.raises(InputError, match="not a mapping"):
        load_recipe(written(tmp_path / "r.yaml", "- 1\n"))
    with pytest.raises(InputError, match="name is missing: add it"):
        load_recipe(written(tmp_path / "r.yaml", SMALL.replace("name: small", "")))
    (tmp_path / "r.yaml").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(InputError, match="not a text file"):
        load_recipe(str(tmp_path / "r.yaml"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: x\nseed: 1\nseed: 2\n", 3),
        ("name: x\ndata:\n  seed: 1\n  seed: 1\n", 4),
        ("name: x\nphases:\n- {epochs: 1, seed: 1,\n   seed: 3}\n", 4),
    ],
)
def test_a_key_that_is_given_twice(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(InputError, match=rf"line {line} is not valid YAML \(seed is given twice"):
        load_recipe(str(tmp_path / "r.yaml"))
    with pytest.raises(InputError, match="is not a YAML value"):
        load_recipe("smoke", ["augment={flip: 0, flip: 1}"])


def test_anchors_may_be_merged(tmp_path: Path) -> None:
    text = written(tmp_path / "r.yaml")
    first = "{optimizer: sgd, epochs: 2, learning_rate: 0.1}"
    again = f"- &p {first}\n- {{<<: *p, epochs: 3}}\n- {{<<: *p, epochs: 4}}\n"
    (tmp_path / "r.yaml").write_text(f"name: x\nphases:\n{again}")
    assert [phase.epochs for phase in load_recipe(text).phases] == [2, 3, 4]


def test_epochs_of_all_phases() -> None:
    phases = [{"optimizer": "sgd", "epochs": n, "learning_rate": 1} for n in (2, 5)]
    assert Recipe(name="x", phases=phases).epochs == 7


@pytest.mark.parametrize("value", ["2020-99-99", "!!int ''", "!!float x", "[" * 3000, "!!bool x"])
def test_values_that_yaml_cannot_build(tmp_path: Path, value: str) -> None:
    with pytest.raises(InputError, match="is not valid YAML"):
        load_recipe(written(tmp_path / "r.yaml", f"name: {value}\n"))
    with pytest.raises(InputError, match="is not a YAML value"):
        load_recipe(written(tmp_path / "r.yaml"), [f"name={value}"])


@pytest.mark.parametrize("override", ["phases.0.learning_rate=.inf", "loss.attributes.sigma=.nan"])
def test_numbers_are_finite(tmp_path: Path, override: str) -> None:
    with pytest.raises(InputError, match="should be a finite number"):
        load_recipe(written(tmp_path / "r.yaml"), [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss.metric.kind=triplet", "loss.metric needs instances_per_person of at least 2"),
        ("instances_per_person=5", "instances_per_person must divide batch_size"),
        ("loss.attributes.weight=0", "all losses are left out"),
        ("loss.identity.reweighting=true", "needs a weight of loss.identity and loss.attributes"),
        ("phases.0.warmup_epochs=2", r"phases\.0\.warmup_epochs is 2 of 2 epochs, so that"),
    ],
)
def test_keys_that_do_not_fit_together(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_recipe(written(tmp_path / "r.yaml"), [override])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("3", "data.sets: give a list of datasets, each a path or a mapping with one"),
        ("{path: A}", "data.sets: give a list of datasets"),
        ("[{path: A, splits: []}]", r"data\.sets\.0\.splits is \(?\[?\]?\)?.*at least 1"),
        ("[{path: A, splits: [train, train]}]", "a split is named twice among train, train"),
    ],
)
def test_sets_that_are_no_list_of_datasets(value: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_recipe("smoke", [f"data.sets={value}"])
