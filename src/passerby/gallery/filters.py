"""When a model counts an attribute as present, as a condition of the query language."""

from collections.abc import Callable

from passerby.data.conditions import Condition, Present
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
