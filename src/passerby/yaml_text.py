"""YAML as people write it: a key that is given twice is refused, of which readers take the last."""

from typing import Any

import yaml

YAML_ERRORS = (
    yaml.YAMLError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
)
"""What reading YAML raises; a date or a number that is none, or lists without end, make PyYAML
raise what Python raises."""


def load_yaml(text: str | bytes, *, as_text: bool = False) -> Any:
    """Read a YAML document of plain values.

    Args:
        text: the document.
        as_text: keep each value as it is written: `yes: 1` becomes neither truth value nor number.

    Raises:
        YAML_ERRORS: it is not YAML, or gives a key twice.
    """
    loader = yaml.BaseLoader(text) if as_text else yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        _refuse_repeated_keys(node, set())
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _refuse_repeated_keys(node: yaml.Node | None, checked: set[int]) -> None:
    if not isinstance(node, yaml.CollectionNode) or id(node) in checked:
        return
    checked.add(id(node))  # an alias leads to the very node of its anchor
    if isinstance(node, yaml.SequenceNode):
        for part in node.value:
            _refuse_repeated_keys(part, checked)
        return
    known: set[str] = set()
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value in known:
            raise yaml.MarkedYAMLError(
                problem=f"{key.value} is given twice", problem_mark=key.start_mark
            )
        if isinstance(key, yaml.ScalarNode):
            known.add(key.value)
        _refuse_repeated_keys(value, checked)
