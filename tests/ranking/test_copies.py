from pathlib import Path

import numpy as np
import pytest

from passerby.calibration import AnswerRule, find_answer_sets
from passerby.data import Crops
from passerby.errors import InputError
from passerby.inference import Embeddings
from passerby.ranking import Distance
from passerby.ranking.copies import find_copies

EUCLIDEAN = Distance(features="embedding", metric="euclidean")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files a, b and c, and a copy of a under another name."""
    contents = {"a": b"1", "b": b"2", "c": b"3", "copy": b"1"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


def embedded(crops: Crops, places: list[float]) -> Embeddings:
    return Embeddings(crops, np.array(places, np.float32)[:, None], model="m")


def test_queries_of_which_a_copy_lies_in_the_gallery(files: dict[str, Path]) -> None:
    queries = Crops([files["b"], files["a"]])
    assert find_copies(queries, Crops([files["copy"], files["c"]])) == [1]
    # the query's own file is no copy
    assert find_copies(queries, Crops([files["a"], files["b"]])) == []
    with pytest.raises(InputError):
        find_copies(queries, Crops([files["a"].with_name("nothing")]))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [(AnswerRule("top_k", 1), [2]), (AnswerRule("threshold", 9.0), [2, 1])],
)
def test_copies_left_out_of_answers(
    files: dict[str, Path], rule: AnswerRule, expected: list[int]
) -> None:
    queries = embedded(Crops([files["a"]]), [0])
    gallery = embedded(Crops([files["copy"], files["b"], files["c"]]), [0, 2, 1])
    limit = rule.threshold(None, 3)
    found = find_answer_sets(queries, gallery, EUCLIDEAN, rule, limit, leave_out_copies=True)
    assert found[0][0].tolist() == expected
    found = find_answer_sets(queries, gallery, EUCLIDEAN, rule, limit)
    assert found[0][0].tolist() == [0, 2, 1][: len(expected) + 1 if rule.rule != "top_k" else 1]


def test_other_people_of_the_frame_are_not_copies(files: dict[str, Path]) -> None:
    boxes = [(0, 0, 10, 20), (30, 0, 10, 20)]
    queries = Crops([files["a"]], box=boxes[:1])
    gallery = Crops([files["a"], files["copy"]], box=[boxes[1], boxes[1]])
    assert find_copies(queries, gallery) == []
    assert find_copies(queries, Crops([files["copy"]], box=boxes[:1])) == [0]
