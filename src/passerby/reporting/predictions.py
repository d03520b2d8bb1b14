"""Predicted attributes as a table on screen and as an annotation file."""

from rich.table import Table

from passerby.data.schema import Binary
from passerby.datasets.annotations import annotation_csv
from passerby.inference.decision import Decision
from passerby.inference.embeddings import Embeddings


def prediction_csv(embeddings: Embeddings, decision: Decision) -> str:
    """Return `classification_test.csv`: the annotation file's columns, `id` = file name.

    Files of the same name in different folders are told apart by their folders. Rows are sorted
    by id. Exclusive groups get their most probable attribute, since the format
    holds exactly one.
    """
    schema = embeddings.schema
    labels = decision.labels(embeddings.attributes, schema)
    rows = sorted(
        (name, schema.decode(row, scores))
        for name, row, scores in zip(
            embeddings.crops.names, labels, embeddings.attributes, strict=True
        )
    )
    return annotation_csv(rows, schema.columns)


def prediction_table(embeddings: Embeddings, decision: Decision) -> Table:
    """Return the first crop's attributes with their probabilities, readable."""
    schema = embeddings.schema
    scores = embeddings.attributes[0]
    labels = decision.labels(embeddings.attributes[:1], schema)[0]
    own = decision.rule not in ("fixed", "group")
    table = Table(
        title=embeddings.crops.paths[0].name,
        caption=f"decided by each attribute's own threshold ({decision.rule})" if own else None,
    )
    table.add_column("attribute")
    table.add_column("answer")
    table.add_column("probability", justify="right")
    for field, where in schema.placed_fields():
        if not isinstance(field, Binary):
            best = int(scores[where].argmax())
            answer, probability = field.words[best], float(scores[where][best])
        else:
            present = bool(labels[where][0])
            answer = field.present if present else field.absent
            probability = float(scores[where][0] if present else 1 - scores[where][0])
        table.add_row(field.name, answer, f"{probability:.0%}")
    return table
