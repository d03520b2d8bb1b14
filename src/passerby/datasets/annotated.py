"""Joining crops whose names tell the person with the labels of that person."""

import numpy as np

from passerby.data.crops import Crops
from passerby.data.schema import Schema
from passerby.datasets.file_names import NamedImages
from passerby.datasets.market1501_attributes import Annotations
from passerby.datasets.problems import Problems, list_few


def join_annotations(
    images: NamedImages,
    annotations: Annotations,
    schema: Schema,
    problems: Problems,
    *,
    dataset: str,
    where: str,
) -> Crops:
    """Return the crops with their persons' labels, matched by number: "0002" is person 2.

    Persons without annotation and annotations without crops go to `problems`; the crops of the
    former are left out. The labels of distractors and junk are unknown.

    Args:
        images: what the names say.
        annotations: labels by person.
        schema: of the labels.
        problems: receives what is wrong.
        dataset: of the crops.
        where: names both files, for messages.
    """
    labels = annotations.labels
    numbers = [int(person) if person else None for person in images.persons]
    named = {
        number: person
        for number, person in zip(numbers, images.persons, strict=True)
        if number is not None
    }
    unlabelled = sorted(n for n in named if n not in labels and n not in annotations.rejected)
    unseen = sorted(number for number in labels if number not in named)
    if unlabelled:
        problems.add(
            f"{where}: no annotation for person {list_few([named[n] for n in unlabelled])}: "
            "add a row for each or remove their crops."
        )
    if unseen:
        problems.add(
            f"{where}: no crop of person {list_few([str(p) for p in unseen])}, who is annotated: "
            "add crops or remove the row."
        )

    nobody = np.full(len(schema), np.nan, np.float32)
    rows = np.array([n is None or n in labels for n in numbers], np.bool_)
    known = [nobody if n is None else labels[n] for n in numbers if n is None or n in labels]
    return Crops(
        images.paths,
        dataset=[dataset] * len(images.paths),
        person=images.persons,
        camera=images.cameras,
        role=images.role,
    )[rows].replace(labels=np.array(known, np.float32).reshape(-1, len(schema)), schema=schema)
