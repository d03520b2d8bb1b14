from pathlib import Path

import numpy as np
import pytest

from passerby.calibration import Calibration, Matcher
from passerby.data import Crops
from passerby.errors import InputError
from passerby.ranking import Distance, Ranking
from passerby.reporting.rankings import check_names, ranking_json, ranking_text


def crops(*names: str) -> Crops:
    return Crops(paths=tuple(Path(name) for name in names))


RANKING = Ranking(
    crops("q/b.jpg", "q/a.jpg"),
    crops("g/1/x.jpg", "g/2/x.jpg", "g/2/y.jpg"),
    np.array([0, 2, 2]),
    np.array([2, 0]),
    np.array([0.25, 0.5], np.float32),
)


def test_one_line_a_query_sorted_by_name() -> None:
    assert ranking_text(RANKING) == "a.jpg:\nb.jpg: 2/y.jpg, 1/x.jpg\n"


def test_json_has_what_it_takes_to_use_it() -> None:
    curve = Calibration(
        distances=(0.1, 1.0), same=(0.5, 1.0), different=(0.0, 1.0), crops_per_person=1, persons=9
    )
    logits = Distance(features="logits")
    known = Matcher(distance=logits, calibration=curve)
    found = ranking_json(RANKING, known, 0.5, "m")
    assert (found["model"], found["distance"], found["threshold"]) == (
        "m",
        "logits normalized_euclidean",
        0.5,
    )
    assert found["gallery"] == 3
    assert found["queries"]["q/a.jpg"] == []
    first, second = found["queries"]["q/b.jpg"]
    assert (first["path"], first["distance"]) == ("g/2/y.jpg", 0.25)
    assert first["probability"] == second["probability"] == curve.probability(np.array(0.3), 3)
    assert "probability" not in ranking_json(RANKING, Matcher(distance=logits), None, "m")


@pytest.mark.parametrize("name", ["a\nb.jpg", "a, b.jpg", "a: b.jpg", "a\u2028b.jpg"])
def test_names_that_would_be_read_as_several(name: str) -> None:
    with pytest.raises(InputError, match="could not tell from several: rename it"):
        check_names(crops("c.jpg", name), "gallery")


def test_a_file_twice() -> None:
    with pytest.raises(InputError, match=r"gallery has the file .*a\.jpg twice"):
        check_names(crops("x/a.jpg", "x/a.jpg"), "gallery")
