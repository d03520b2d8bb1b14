"""Joining crops whose names tell the person with the labels of that person."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from passerby.data.crops import DISTRACTOR, Crops
from passerby.data.schema import Schema
from passerby.datasets.annotations import Annotations
from passerby.datasets.problems import Problems, list_few


def join_annotations(
    paths: Sequence[Path],
    persons: Sequence[int],
    cameras: Sequence[int],
    annotations: Annotations,
    schema: Schema,
    problems: Problems,
    where: str,
) -> Crops:
    """Return the crops with their persons' labels.

    Persons without annotation and annotations without crops go to `problems`; the crops of the
    former are left out. Distractors and junk have no labels and count as all false.
    """
    labels = annotations.labels
    known = set(persons)
    unlabelled = sorted(
        p for p in known - annotations.rejected if p > DISTRACTOR and p not in labels
    )
    unseen = sorted(p for p in labels if p not in known)
    if unlabelled:
        problems.add(
            f"{where}: no annotation for person {list_few([str(p) for p in unlabelled])}: "
            "add a row for each or remove their crops."
        )
    if unseen:
        problems.add(
            f"{where}: no crop of person {list_few([str(p) for p in unseen])}, who is annotated: "
            "add crops or remove the row."
        )

    nobody = np.zeros(len(schema), bool)
    kept = [i for i, p in enumerate(persons) if p <= DISTRACTOR or p in labels]
    return Crops(
        paths=tuple(paths[i] for i in kept),
        persons=np.array([persons[i] for i in kept], np.int64),
        cameras=np.array([cameras[i] for i in kept], np.int64),
        labels=np.array([labels.get(persons[i], nobody) for i in kept], bool).reshape(
            -1, len(schema)
        ),
        schema=schema,
    )
