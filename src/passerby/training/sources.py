"""The datasets that a recipe trains on."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from passerby.data.crops import Crops
from passerby.datasets.joining import Source, in_schema, join, read_source
from passerby.errors import InputError
from passerby.inference.leakage import check_copies
from passerby.training.recipe import DataSection, Recipe, SetSection
from passerby.training.unlabelled import looks_for_everybody

Data = Path | Crops | Source
"""A dataset: its folder or manifest, its crops, or both with what is known of them."""


def read_sources(
    section: DataSection, data: Data | Sequence[Data], *, labels: bool = True
) -> list[Source]:
    """Read what a recipe trains on; several datasets are made to fit together.

    Args:
        section: `data` of the recipe. If it names sets, they lie below the one folder given.
        data: one dataset or several.
        labels: whether attributes are learned; if not, those of several datasets need not fit.

    Raises:
        InputError: a dataset is not as it has to be, or two do not fit together, or hold the same
            picture.
    """
    given = [data] if isinstance(data, Path | Crops | Source) else list(data)
    if section.sets:
        if len(given) != 1 or not isinstance(given[0], Path):
            raise InputError(
                "The recipe names its datasets in data.sets: give the one folder below which they "
                "lie."
            )
        sources = [_read_set(given[0], number, entry) for number, entry in enumerate(section.sets)]
    else:
        sources = [_read(one) for one in given]
    if not sources:
        raise InputError("No dataset to train on is given: name one.")
    if not labels:
        sources = [replace(one, mapping=None) for one in sources]
    if len(sources) == 1:
        return [in_schema(sources[0], section.attributes)]
    if not labels:
        sources = [replace(one, crops=one.crops.without_labels()) for one in sources]
    joined = join(sources, section.attributes)
    check_copies(joined)
    return joined


def check_sources(sources: Sequence[Source], recipe: Recipe) -> None:
    """Check that there is something to learn, and that each dataset teaches something.

    Raises:
        InputError: there is not, or one does not.
    """
    if all(looks_for_everybody(recipe, source.crops) for source in sources):
        return
    attributes = recipe.loss.attributes.weight > 0 or recipe.loss.identity.reweighting
    if (
        attributes
        and not recipe.model.adapt
        and all(source.crops.labels is None for source in sources)
    ):
        raise InputError(
            f"{_have(sources)} no attribute annotations to train on: add them, or choose a recipe "
            "that learns identity alone, such as agw."
        )
    if recipe.needs_persons and not any(source.crops.has_persons for source in sources):
        if recipe.model.adapt:
            raise InputError(
                f"{_have(sources)} no persons to tell apart: name them, or train "
                "adapt-unlabelled, which looks for persons by itself."
            )
        raise InputError(
            f"{_have(sources)} no persons to tell apart: name them, or choose a recipe that learns "
            "attributes alone, such as course-attributes; any recipe does with "
            "loss.identity.weight 0, loss.metric.kind none and instances_per_person 0."
        )
    for source in sources:
        labelled = attributes and source.crops.labels is not None
        if not labelled and not (recipe.needs_persons and source.crops.has_persons):
            raise InputError(
                f"{source.title} teaches nothing that this recipe learns: leave it out, choose "
                "another recipe, or give its folder as data.unlabelled to one that looks for "
                "persons."
            )


def unused_keys(recipe: Recipe, sources: Sequence[Source]) -> list[str]:
    """Return a sentence for each key of a recipe that is set but changes nothing in this run."""
    alone = len(sources) == 1 and not recipe.data.unlabelled
    style, identity = recipe.model.style, recipe.loss.identity
    unused = {
        "data.balance": (recipe.data.balance != 1 and alone, "there is a single dataset"),
        "data.calibration_pairs": (
            recipe.data.calibration_pairs != "all"
            and not recipe.data.calibration_persons
            and not any(entry.calibration_persons for entry in recipe.data.sets),
            "nobody is kept for calibration",
        ),
        "pseudo_labels": (
            recipe.pseudo_labels != type(recipe.pseudo_labels)()
            and not any(phase.pseudo_labels for phase in recipe.phases),
            "no phase looks for persons",
        ),
        "model.style.stages": (
            style.kind == "none" and style.stages != type(style)().stages,
            "model.style.kind is none",
        ),
        "loss.identity.within_sets": (
            identity.within_sets and (alone or not identity.weight),
            "there is a single dataset" if alone else "loss.identity.weight is 0",
        ),
    }
    unused |= {
        f"data.sets.{number}.mapping": (
            entry.mapping is not None and "attributes" not in recipe.tasks,
            "no attributes are learned",
        )
        for number, entry in enumerate(recipe.data.sets)
    }
    return [f"{key} changes nothing: {why}." for key, (found, why) in unused.items() if found]


def _have(sources: Sequence[Source]) -> str:
    titles = [source.title[:1].upper() + source.title[1:] for source in sources]
    if len(titles) > 1:
        return "These datasets have"
    return f"{titles[0]} have" if titles[0] == "These crops" else f"{sources[0].title} has"


def _read_set(base: Path, number: int, entry: SetSection) -> Source:
    try:
        return read_source(
            base / entry.path,
            entry.splits,
            root=None if entry.root is None else base / entry.root,
            pattern=entry.pattern,
            accept_missing=entry.accept_missing,
            mapping=entry.mapping,
        )
    except InputError as error:
        # its keys are those of the recipe, not parameters of a function
        told = re.sub(r"`(\w+)`", r"\1", str(error))
        raise InputError(f"data.sets.{number} ({entry.path}): {told}") from error


def _read(data: Data) -> Source:
    if isinstance(data, Source):
        return data
    return Source("these crops", data) if isinstance(data, Crops) else read_source(data)
