"""The one exception that a user is meant to read."""


class InputError(Exception):
    """The input is wrong: one sentence that says what, where and how to fix it.

    Commands print the sentence and exit with code 2.
    """
