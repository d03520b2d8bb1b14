"""Binary labels as a table: one row a person where all crops of a person agree, else one a crop."""

import csv
import io

import numpy as np

from passerby.data.crops import Crops, person_labels


def labels_csv(crops: Crops) -> tuple[str, int, str]:
    """Return labels as CSV: `id` and one 0/1 column for each attribute, empty where unknown.

    Persons of several datasets have a column `dataset` too: two of one name are two.

    Args:
        crops: with labels.

    Returns:
        The text, how many rows it has, and whether these are "persons" or "crops".
    """
    assert crops.labels is not None
    assert crops.schema is not None
    rows: list[tuple[str, ...]] = [(name,) for name in crops.names]
    table, what = crops.labels.astype(np.float64), "crops"
    head: tuple[str, ...] = ("id",)
    if crops.has_persons:
        several = len(crops.persons) > 1
        people: list[tuple[str, ...]] = [
            (dataset, name) if several else (name,)
            for dataset, names in crops.persons.items()
            for name in names
        ]
        of_persons = person_labels(crops)[: len(people)]
        # where crops of one person differ their mean is neither 0 nor 1
        if np.isin(of_persons[~np.isnan(of_persons)], (0, 1)).all():
            rows, table, what = people, of_persons, "persons"
            head = ("dataset", "id") if several else ("id",)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*head, *crops.schema.names])
    for names, row in zip(rows, table, strict=True):
        writer.writerow([*names, *("" if np.isnan(value) else int(value) for value in row)])
    return text.getvalue(), len(rows), what
