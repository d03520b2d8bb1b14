"""What is wrong with a field of a request, in words that say how to fix it."""

from typing import Any

_REMEDIES = {
    # by the type of pydantic's errors; braces take what it says about them
    "missing": "it is missing, send it",
    "extra_forbidden": "this is not a field, leave it out",
    "json_invalid": "it is not JSON, fix it",
    "model_attributes_type": "send one JSON object, as application/json",
    "int_parsing": "write a whole number",
    "int_parsing_size": "write a smaller number",
    "int_from_float": "write a whole number",
    "int_type": "write a whole number",
    "float_parsing": "write a number",
    "float_type": "write a number",
    "finite_number": "write a number",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "string_type": "write a text",
    "string_too_long": "write at most {max_length} letters",
    "string_pattern_mismatch": "send a crop's hash, 64 hexadecimal digits, as a search returns it",
    "list_type": "send a list",
    "too_long": "send at most {max_length}",
    "greater_than_equal": "the least is {ge}",
    "less_than_equal": "the most is {le}",
}


def in_words(error: dict[str, Any]) -> str:
    """Return what is wrong with one field, and how to fix it.

    Args:
        error: as pydantic tells it.
    """
    place = "" if error["type"] == "json_invalid" else ".".join(map(str, error["loc"][1:]))
    # a name may come from the request, and hold anything
    name = "".join(letter for letter in place if letter.isprintable())[:80] or "the request"
    return f"{name}: {_remedy(error)}."


def _remedy(error: dict[str, Any]) -> str:
    known = _REMEDIES.get(error["type"])
    if known is not None:
        return known.format_map(error.get("ctx", {}))
    # what our own checks say is a remedy
    text = str(error["msg"]).removeprefix("Value error, ")
    return "send a file" if "UploadFile" in text else text
