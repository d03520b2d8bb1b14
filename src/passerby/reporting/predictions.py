"""Predicted attributes as a table on screen and as a file."""

from rich.table import Table

from passerby.datasets import market1501_attributes as market1501
from passerby.datasets.market1501_attributes import annotation_csv
from passerby.errors import InputError
from passerby.inference.decision import Decision
from passerby.inference.embeddings import Embeddings


def prediction_csv(embeddings: Embeddings, decision: Decision) -> str:
    """Return `classification_test.csv`: one row a crop, `id` = file name, sorted by it.

    A model of Market-1501's attributes writes the annotation file's columns, where exclusive groups
    get their most probable attribute, since the format holds exactly one. One of another schema
    writes one 0/1 column for each attribute. Files of the same name in different folders are told
    apart by their folders.

    Raises:
        InputError: the model answers no attributes, or one is called `id`.
    """
    scores, schema = embeddings.known_attributes, embeddings.schema
    assert schema is not None
    labels = decision.labels(scores, schema)
    names = embeddings.crops.names
    if schema == market1501.MARKET1501_ATTRIBUTES:
        rows = [
            (name, market1501.decode(row, mine))
            for name, row, mine in zip(names, labels, scores, strict=True)
        ]
        columns = market1501.COLUMNS
    else:
        if "id" in schema.names:
            raise InputError("An attribute is called 'id', as the file's first column: rename it.")
        rows = [
            (name, dict(zip(schema.names, row.astype(int).tolist(), strict=True)))
            for name, row in zip(names, labels, strict=True)
        ]
        columns = schema.names
    return annotation_csv(sorted(rows, key=lambda row: row[0]), columns)


def prediction_table(embeddings: Embeddings, decision: Decision) -> Table:
    """Return the first crop's attributes with their probabilities, readable."""
    scores, schema = embeddings.known_attributes[0], embeddings.schema
    assert schema is not None
    labels = decision.labels(scores[None], schema)[0]
    own = decision.rule not in ("fixed", "group")
    table = Table(
        title=embeddings.crops.paths[0].name,
        caption=f"decided by each attribute's own threshold ({decision.rule})" if own else None,
    )
    table.add_column("attribute")
    table.add_column("answer")
    table.add_column("probability", justify="right")
    for field in schema.fields:
        if field.exclusive:
            best = field.place.start + int(scores[field.place].argmax())
            answer, probability = schema.phrases[best], float(scores[best])
        else:
            attribute, score = schema.attributes[field.place.start], scores[field.place.start]
            present = bool(labels[field.place.start])
            answer = attribute.phrase if present else attribute.absent
            probability = float(score if present else 1 - score)
        table.add_row(field.name, answer, f"{probability:.0%}")
    return table
