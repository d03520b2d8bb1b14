import numpy as np
import pytest

from passerby.data import Crops
from passerby.errors import InputError
from passerby.evaluation import RetrievalReport, evaluate_retrieval
from passerby.evaluation.comparison import compare
from passerby.inference import Embeddings
from passerby.ranking import Distance
from passerby.reporting.retrieval_tables import comparison_line

PERSONS = [f"{n:02d}" for n in range(20)]


def scored(noise: float, seed: int, persons: list[str] = PERSONS) -> RetrievalReport:
    """One query of each person among two crops of each, around a centre of the person's own."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(len(persons), 4))
    drawn = np.random.default_rng(seed)

    def around(count: int) -> Embeddings:
        who = np.tile(np.arange(len(persons)), count)
        vectors = centres[who] + noise * drawn.normal(size=(len(who), 4))
        crops = Crops([f"{i}" for i in range(len(who))], person=[persons[n] for n in who])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embeddings(crops, vectors.astype(np.float32))

    return evaluate_retrieval(around(1), around(2), Distance(features="embedding"), resamples=0)


def test_the_difference_of_the_means() -> None:
    one, other = scored(0.3, 1), scored(1.0, 2)
    found = compare(one, other)
    assert found.map == pytest.approx(one.metrics["map"] - other.metrics["map"])
    assert found.top1 == pytest.approx(one.metrics["top1"] - other.metrics["top1"])
    assert (found.queries, found.persons) == (20, 20)
    low, high = found.map_ci
    assert 0 < low < found.map < high
    turned = compare(other, one)
    assert turned.map == pytest.approx(-found.map)
    assert turned.map_ci == pytest.approx((-high, -low))


def test_intervals_by_hand() -> None:
    """With one query a person these are drawn queries: the percentiles of drawn means."""
    one, other = scored(0.3, 1), scored(1.0, 2)
    apart = one.scores.ap - other.scores.ap
    draws = np.random.default_rng(0).multinomial(20, np.full(20, 1 / 20), size=1000)
    low, high = np.quantile(draws @ apart / 20, [0.025, 0.975])
    np.testing.assert_allclose(compare(one, other).map_ci, (low, high))


def test_a_model_is_as_good_as_itself() -> None:
    report = scored(0.5, 3)
    found = compare(report, report)
    assert (found.map, found.top1, found.map_ci, found.top1_ci) == (0, 0, (0, 0), (0, 0))


def test_across_cameras_where_they_are_known() -> None:
    """Each person's nearest crop is by the query's own camera, which does not count."""
    near, far, wrong = [1.0, 0.0], [0.8, 0.6], [0.9, 0.436]

    def report(own: list[float], foreign: list[float], stranger: list[float]) -> RetrievalReport:
        queries = Crops(["q"], person=["1"], camera=["1"])
        gallery = Crops(list("abc"), person=["1", "1", "2"], camera=["1", "2", "2"])
        return evaluate_retrieval(
            Embeddings(queries, np.array([[1.0, 0.0]], np.float32)),
            Embeddings(gallery, np.array([own, foreign, stranger], np.float32)),
            Distance(features="embedding"),
            resamples=0,
        )

    one, other = report(near, wrong, far), report(near, far, wrong)
    found = compare(one, other)
    assert one.metrics["top1"] == other.metrics["top1"] == 1
    assert (found.cameras, found.top1, found.map) == ("cross", 1, 0.5)
    assert "top-1 +1.000 (+1.000 to +1.000), " in comparison_line(found)
    assert ", across cameras, in pairs over 1 queries" in comparison_line(found)


def test_other_queries_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="were not scored on the same queries and gallery"):
        compare(scored(0.5, 1), scored(0.5, 1, PERSONS[:10]))
