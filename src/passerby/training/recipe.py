"""Recipes: one YAML file that says everything about a training run."""

import difflib
import reprlib
import types
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from passerby.errors import InputError
from passerby.inference.model_info import Task
from passerby.inference.model_location import DEFAULT_MODEL
from passerby.models.architecture import Architecture, Side
from passerby.yaml_text import YAML_ERRORS, load_yaml

Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


# PyYAML's constructors let through what Python raises for a wrong date or number


def _folders(value: Any) -> Any:
    """Let a single folder stand for a list of one."""
    folders = [value] if isinstance(value, str) else value
    if not isinstance(folders, list | tuple) or not all(folders):
        raise ValueError("data.unlabelled: give the name of a folder, or a list of them")
    return folders


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _each_once(splits: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(splits)) < len(splits):
        raise ValueError(f"data.sets: a split is named twice among {', '.join(splits)}")
    return splits


class SetSection(_Section):
    """One of several datasets that are trained on together.

    Attributes:
        path: a folder of any known layout, or a manifest; from the folder that is given as data.
        splits: those that are taken, together.
        root: where a manifest's paths start, from the same folder.
        pattern, accept_missing: see `passerby.datasets.read_crops`.
        mapping: from its attributes to the common ones; one that ships if left out.
        held_out_persons, calibration_persons: as those of `data`, for this set.
    """

    path: str
    splits: Annotated[tuple[str, ...], AfterValidator(_each_once), Field(min_length=1)] = ("train",)
    root: str | None = None
    pattern: str | None = None
    accept_missing: bool = False
    mapping: str | None = None
    held_out_persons: int | None = Field(None, ge=0)
    calibration_persons: int | None = Field(None, ge=0)


def _named_sets(value: Any) -> Any:
    """Let a path stand for a set of which nothing else is said."""
    sets = [value] if isinstance(value, str) else value
    if not isinstance(sets, list | tuple | None):
        raise ValueError("data.sets: give a list of datasets, each a path or a mapping with one")
    return [{"path": one} if isinstance(one, str) else one for one in sets or ()]


class DataSection(_Section):
    """Who is trained on.

    Attributes:
        sets: several datasets, below the folder that is given as data; that folder itself, or
            each of those that are given, if empty.
        attributes: the schema that labels of several datasets are mapped to: "market1501",
            "peta" or "pa100k"; if empty, the first one's that all others can be mapped to.
        epoch_crops: so many crops make an epoch; 0 shows as many as there are.
        balance: exponent of a set's number of crops in its share of an epoch: 1 takes crops as
            they come, 0 takes as many from each set.
        held_out_persons: persons of each set kept for `passerby evaluate`, chosen by `seed`; 0
            trains on all. Crops, where no person is known.
        calibration_persons: of each set's other persons, those kept to choose thresholds and
            weights on; 0 keeps group argmax and leaves answer sets without a threshold.
        calibration_pairs: "all" pairs of crops say what a distance means; or those "across" the
            cameras of a dataset.
        seed: of both choices.
        unlabelled: folders of crops of other persons, without annotation, for the phases that
            learn from them.
    """

    sets: Annotated[tuple[SetSection, ...], BeforeValidator(_named_sets)] = ()
    attributes: str = ""
    epoch_crops: int = Field(0, ge=0, le=100_000_000)
    balance: float = Field(1.0, ge=0, le=1)
    held_out_persons: int = Field(151, ge=0)
    calibration_persons: int = Field(0, ge=0)
    calibration_pairs: Literal["all", "across"] = "all"
    seed: Seed = 0
    unlabelled: Annotated[tuple[str, ...], BeforeValidator(_folders)] = ()


class PseudoLabelSection(_Section):
    """How persons are found among unlabelled crops.

    Attributes:
        radius: largest Jaccard distance of two crops' neighbourhoods that makes them neighbours;
            larger finds fewer persons with more crops each.
        crops: so many neighbours, itself among them, make a crop the core of a person.
    """

    radius: float = Field(0.5, gt=0, lt=1)
    crops: int = Field(4, ge=2)


class ModelSection(Architecture):
    """The network, and where its backbone's weights come from.

    Attributes:
        weights: "pretrained" (downloaded by timm), "none", a safetensors file of the backbone's
            weights; or, to go on from, the folder of a run or of a model file, or "shipped", the
            model that comes with the package.
        adapt: of weights to go on from: the network is that model's, and training begins with what
            it sees. Each person's row of the classifier is the mean of its answers for the
            person's crops, and attributes of persons that nobody annotated are its probabilities,
            as of pseudo-labels.
        frozen_stages: stages of the backbone, from the input on, that keep their weights.
    """

    weights: str = "pretrained"
    adapt: bool = False
    frozen_stages: int = Field(0, ge=0)

    @property
    def earlier(self) -> str | None:
        """What to go on from, as `find_model` takes it; None for a backbone alone."""
        if self.weights == "shipped":
            return str(DEFAULT_MODEL)
        begun = self.weights not in ("pretrained", "none") and Path(self.weights).is_dir()
        return self.weights if begun else None

    @property
    def architecture(self) -> Architecture:
        """The network alone."""
        names = Architecture.model_fields
        return Architecture(**{name: getattr(self, name) for name in names})


class AttributeLossSection(_Section):
    """Binary cross entropy of the attributes.

    Attributes:
        weight: in the sum of the losses; with 0 the model learns no attributes.
        weighting: "deepmar" weights rare positives and rare negatives up (Li et al. 2015).
        sigma: of the DeepMAR weights; a larger one weights more evenly.
        erased: learn from crops with an erased rectangle too, which may have hidden the very
            thing that the label names.
    """

    weight: float = Field(1.0, ge=0)
    weighting: Literal["none", "deepmar"] = "deepmar"
    sigma: float = Field(1.0, gt=0)
    erased: bool = True


class IdentityLossSection(_Section):
    """Cross entropy of a classifier over the training persons, on the features after the neck.

    Attributes:
        weight: in the sum of the losses; 0 leaves the classifier out.
        label_smoothing: probability given to all other persons together.
        within_sets: persons compete with those of their own dataset alone, so that nothing is
            learned from what tells datasets apart.
        reweighting: the classifier sees the re-weighted attribute probabilities too (APR, Lin et
            al., "Improving Person Re-identification by Attribute and Identity Learning", 2019).
    """

    weight: float = Field(0.0, ge=0)
    label_smoothing: Fraction = 0.1
    within_sets: bool = False
    reweighting: bool = False


class MetricLossSection(_Section):
    """A loss on the distances within a batch; it needs `instances_per_person`.

    Attributes:
        kind: "triplet" with the hardest positive and negative of the batch (Hermans et al.,
            2017), or "weighted_triplet" (AGW, Ye et al. 2021, eq. 8).
        weight: in the sum of the losses.
        vectors: "features" before the neck, or the attribute "logits" scaled to length 1.
        margin: of "triplet".
    """

    kind: Literal["none", "triplet", "weighted_triplet"] = "none"
    weight: float = Field(1.0, gt=0)
    vectors: Literal["features", "logits"] = "features"
    margin: float = Field(0.3, gt=0)


class LossSection(_Section):
    """The weighted sum that is minimised.

    Attributes:
        balance: "fixed" keeps the weights; "uncertainty" learns them, beginning with those given
            (Kendall, Gal and Cipolla, "Multi-Task Learning Using Uncertainty", CVPR 2018).
    """

    balance: Literal["fixed", "uncertainty"] = "fixed"
    attributes: AttributeLossSection = AttributeLossSection()
    identity: IdentityLossSection = IdentityLossSection()
    metric: MetricLossSection = MetricLossSection()


class AugmentSection(_Section):
    """What is varied at random in each training crop.

    Attributes:
        flip: probability of mirroring left and right.
        shift: largest shift, as a fraction of height and width; black comes in.
        random_erasing: probability of erasing a rectangle (Zhong et al., AAAI 2020).
        brightness, contrast, saturation: largest relative change.
        hue: largest change, as a part of the colour circle.
        grayscale, blur, resolution: probabilities of a crop without colours, of a blurred one, and
            of one that was scaled down and up again.
    """

    flip: Fraction = 0.5
    shift: float = Field(0.05, ge=0, lt=1)
    random_erasing: Fraction = 0.0
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    saturation: Fraction = 0.0
    hue: float = Field(0.0, ge=0, le=0.5)
    grayscale: Fraction = 0.0
    blur: Fraction = 0.0
    resolution: Fraction = 0.0


class Phase(_Section):
    """Consecutive epochs with one optimiser.

    Attributes:
        optimizer: AdamW, or SGD with Nesterov momentum.
        epochs: passes over the training crops.
        pseudo_labels: learn from `data.unlabelled` too: the network as it is when the phase begins
            says who is who and what they look like. If all phases do, data that name nobody and no
            attributes are themselves such crops.
        size: height and width that crops are scaled to in this phase; `model.size` if left out.
            Smaller crops first save time.
        learning_rate: the highest one.
        schedule: how it falls after the warm-up: not at all, or to 0 along a line or a cosine.
        warmup_epochs: during which it rises from 0 along a line; may be a fraction.
        weight_decay: of all weights but those of normalisations and biases.
        momentum: of SGD.
    """

    optimizer: Literal["adamw", "sgd"]
    epochs: int = Field(ge=1)
    pseudo_labels: bool = False
    size: tuple[Side, Side] | None = None
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup_epochs: float = Field(0.0, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)


class Recipe(_Section):
    """Everything about a training run.

    Attributes:
        name: what the model file is called.
        batch_size: crops per step, over all processes.
        instances_per_person: 0 shows every crop once an epoch; K > 0 makes each batch of
            batch_size / K persons with K crops each.
        precision: "auto" takes bf16 on GPUs that have it and fp32 on CPUs.
        seed: of the initial weights, the order of the crops and the augmentation.
        ema_decay: the model file gets an exponential moving average of the weights, of which each
            step keeps this share; 0 takes the last weights.
        phases: one after the other.
    """

    name: str
    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    loss: LossSection = LossSection()
    augment: AugmentSection = AugmentSection()
    pseudo_labels: PseudoLabelSection = PseudoLabelSection()
    batch_size: int = Field(128, ge=2)
    instances_per_person: int = Field(0, ge=0)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: Seed = 0
    ema_decay: float = Field(0.0, ge=0, lt=1)
    phases: tuple[Phase, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.loss.metric.kind != "none" and self.instances_per_person < 2:
            raise ValueError("loss.metric needs instances_per_person of at least 2")
        if self.loss.metric.kind != "none" and self.batch_size < 2 * self.instances_per_person:
            raise ValueError("loss.metric needs at least two persons in a batch")
        learns_attributes = self.loss.attributes.weight > 0
        if self.loss.metric.vectors == "logits" and not learns_attributes:
            raise ValueError("loss.metric.vectors are logits, so loss.attributes needs a weight")
        if self.loss.identity.reweighting and not (learns_attributes and self.loss.identity.weight):
            raise ValueError(
                "loss.identity.reweighting needs a weight of loss.identity and loss.attributes"
            )
        if self.instances_per_person and self.batch_size % self.instances_per_person:
            raise ValueError("instances_per_person must divide batch_size")
        if not self.tasks:
            raise ValueError("all losses are left out: give one a weight")
        for number, phase in enumerate(self.phases):
            rising, falls = phase.warmup_epochs, phase.schedule != "constant"
            if rising > phase.epochs or (falls and rising == phase.epochs):
                raise ValueError(
                    f"phases.{number}.warmup_epochs is {rising:g} of {phase.epochs} epochs, so "
                    "that the learning rate never gets to its schedule: set fewer, or more epochs"
                )
        return self

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What the losses that have a weight teach."""
        taught: list[Task] = []
        if self.loss.attributes.weight:
            taught.append("attributes")
        if self.loss.identity.weight or self.loss.metric.kind != "none":
            taught.append("identity")
        return tuple(taught)

    @property
    def needs_persons(self) -> bool:
        """Whether it can only learn from crops whose person is known."""
        return "identity" in self.tasks or self.instances_per_person > 0

    def shorten(self, budget: float) -> "Recipe":
        """Return the recipe with that fraction of each phase's epochs, one at least."""
        phases = [
            phase.model_copy(
                update={
                    "epochs": max(1, round(phase.epochs * budget)),
                    "warmup_epochs": phase.warmup_epochs * budget,
                }
            )
            for phase in self.phases
        ]
        return self.model_copy(update={"phases": tuple(phases)})

    def accepting_missing(self) -> "Recipe":
        """Return the recipe with images of any of its sets allowed to be missing."""
        sets = tuple(one.model_copy(update={"accept_missing": True}) for one in self.data.sets)
        return self.model_copy(update={"data": self.data.model_copy(update={"sets": sets})})

    @property
    def epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that come with the package."""
    folder = resources.files("passerby.recipes")
    files = (file.name for file in folder.iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def load_recipe(source: str, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe and change some of its values.

    Args:
        source: the name of a shipped recipe, or a YAML file.
        overrides: `key.key=value` each, e.g. `phases.0.epochs=5`; values are read as YAML.

    Raises:
        InputError: there is no such recipe, it is not YAML, a key is unknown (the nearest known
            one is named), or a value is out of range.
    """
    values = _parse(_recipe_text(source), source)
    for override in overrides or []:
        _set(values, override)
    return _validated(values, source)


def _recipe_text(source: str) -> str:
    if source in shipped_recipes():
        return resources.files("passerby.recipes").joinpath(f"{source}.yaml").read_text("utf-8")
    path = Path(source)
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{path} is not a text file: give a recipe in YAML.") from None
    raise InputError(
        f"There is no recipe {source!r}: give a YAML file or one of {', '.join(shipped_recipes())}."
    )


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        values = load_yaml(text)
    except YAML_ERRORS as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "it cannot be parsed"
        raise InputError(
            f"Recipe {source}{where} is not valid YAML ({reason}): fix its syntax."
        ) from None
    if not isinstance(values, dict):
        raise InputError(
            f"Recipe {source} is not a mapping of keys to values: start from a shipped one."
        )
    return values


def _set(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise InputError(f"{override!r}: write it as key.key=value.")
    *parents, last = path.split(".")
    place: Any = values
    for key in parents:
        if isinstance(place, list):
            place = place[_position(key, place, override)]
        else:
            place = place.setdefault(key, {})
        if not isinstance(place, dict | list):
            raise InputError(f"{override!r}: {key} is a value, not a section.")
    value = _parse_value(text, override)
    if isinstance(place, list):
        place[_position(last, place, override)] = value
    else:
        place[last] = value


def _parse_value(text: str, override: str) -> Any:
    try:
        return load_yaml(text)
    except YAML_ERRORS:
        raise InputError(f"{override!r}: {text!r} is not a YAML value: quote it.") from None


def _position(key: str, place: list[Any], override: str) -> int:
    if not key.isdecimal() or int(key) >= len(place):
        raise InputError(
            f"{override!r}: {key!r} is not a position: choose one from 0 to {len(place) - 1}."
        )
    return int(key)


def _validated(values: dict[str, Any], source: str) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = first["loc"]
        key = ".".join(str(part) for part in path)
        if first["type"] == "extra_forbidden":
            raise InputError(_unknown_key(source, path)) from None
        if first["type"] == "missing":
            raise InputError(f"Recipe {source}: {key} is missing: add it.") from None
        if first["type"] == "value_error":
            raise InputError(f"Recipe {source}: {first['ctx']['error']}.") from None
        message = first["msg"][0].lower() + first["msg"][1:]
        if first["type"].startswith(("model_type", "dict_type")):
            message = "it holds keys of its own: write them below it"
        value = reprlib.repr(first["input"])
        raise InputError(f"Recipe {source}: {key} is {value}: {message}.") from None


def _unknown_key(source: str, path: tuple[str | int, ...]) -> str:
    known = sorted(_section_at(path[:-1]).model_fields)
    near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
    return f"Recipe {source}: unknown key {'.'.join(str(part) for part in path)!r}: {hint}"


def _section_at(path: tuple[str | int, ...]) -> type[BaseModel]:
    section: type[BaseModel] = Recipe
    for part in path:
        if isinstance(part, str):
            section = _section_in(section.model_fields[part].annotation)
    return section


def _section_in(annotation: Any) -> type[BaseModel]:
    """Return the section in an annotation such as `Phase` or `tuple[Phase, ...]`."""
    if get_origin(annotation) in (tuple, list, Union, types.UnionType):
        return _section_in(get_args(annotation)[0])
    return annotation  # type: ignore[no-any-return]
