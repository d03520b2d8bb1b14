import pytest

from passerby.errors import InputError
from passerby.gallery.database_errors import plain_words


@pytest.mark.parametrize(
    ("where", "doing", "said", "sentence"),
    [
        ("g", "write to", "lance error: Commit conflict for version 7", "Others change g all the"),
        ("conflict", "read", "lance error: conflict/a", "Cannot read conflict: a file of it is"),
        ("g", "write to", "IO: No space left on device", "Cannot write to g: "),
        ("g", "open", "lance error: LanceError(IO)", "Cannot open g: a file is damaged or missing"),
        ("s3://b/g", "read", "status: 503", "Cannot read s3://b/g: the object store fails"),
        ("gs://b/g", "make", "TokenRequest", "it asks for credentials: set GOOGLE_SERVICE_ACCOUNT"),
        ("s3://b/g", "make", "never heard of", "of which the database says: never heard of"),
    ],
)
def test_what_the_database_says(where: str, doing: str, said: str, sentence: str) -> None:
    with pytest.raises(InputError) as error, plain_words(where, doing):
        raise RuntimeError(said)
    assert sentence in str(error.value)


def test_our_own_mistakes_are_not_talked_away() -> None:
    with pytest.raises(ValueError, match="a mistake"), plain_words("g", "write to"):
        raise ValueError("a mistake")
    with pytest.raises(KeyError), plain_words("g", "read"):
        raise KeyError("x")
