"""Binary labels as a table: one row a person where all crops of a person agree, else one a crop."""

import csv
import io

import numpy as np

from passerby.data.crops import Crops, person_labels


def labels_csv(crops: Crops) -> tuple[str, int, str]:
    """Return labels as CSV: `id` and one 0/1 column for each attribute, empty where unknown.

    Args:
        crops: with labels.

    Returns:
        The text, how many rows it has, and whether these are "persons" or "crops".
    """
    assert crops.labels is not None
    assert crops.schema is not None
    names, table, what = list(crops.names), crops.labels.astype(np.float64), "crops"
    if crops.has_persons:
        people = [f"{name}" for names_ in crops.persons.values() for name in names_]
        of_persons = person_labels(crops)[: len(people)]
        # where crops of one person differ their mean is neither 0 nor 1
        if np.isin(of_persons[~np.isnan(of_persons)], (0, 1)).all():
            names, table, what = people, of_persons, "persons"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", *crops.schema.names])
    for name, row in zip(names, table, strict=True):
        writer.writerow([name, *("" if np.isnan(value) else int(value) for value in row)])
    return text.getvalue(), len(names), what
