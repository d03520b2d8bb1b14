"""Queries over a gallery: what its model counts as present, and which columns they ask for."""

from collections.abc import Callable

from passerby.data.conditions import And, ColumnCondition, Condition, Not, Or, Present, Unknown
from passerby.data.schema import Schema
from passerby.inference.decision import Decision


def decide_presence(schema: Schema | None, decision: Decision) -> Callable[[str], Condition]:
    """Return what makes the condition that `decision` finds an attribute.

    Args:
        schema: names the attributes and their groups.
        decision: of the model.
    """

    def present(name: str) -> Condition:
        assert schema is not None
        place = schema.index(name)
        if decision.thresholds is not None:
            return Present(name, decision.thresholds[place])
        if decision.rule == "group":
            for group in schema.groups.values():
                if group.start <= place < group.stop:
                    before = schema.names[group.start : place]
                    after = schema.names[place + 1 : group.stop]
                    return Present(name, None, (before, after))
        return Present(name, 0.5)

    return present


def asked_columns(condition: Condition) -> set[str]:
    """Return the columns, other than attributes, that a query compares."""
    if isinstance(condition, ColumnCondition | Unknown):
        return {condition.column}
    if isinstance(condition, Not):
        return asked_columns(condition.part)
    if isinstance(condition, And | Or):
        return set().union(*map(asked_columns, condition.parts))
    return set()
