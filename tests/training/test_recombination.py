import torch
from torch import Tensor

from passerby.data import COURSE
from passerby.training.crop_dataset import Batch
from passerby.training.recombination import Recombination

HEIGHT = 100
ABOVE, BOTH, BELOW = 1.0, 0.5, 0.0


def crops(count: int) -> list[Batch]:
    """Crop n is all n, of person n, who has each of three attributes if n is odd."""
    return [
        Batch(
            pixels=torch.full((3, HEIGHT, 2), n, dtype=torch.uint8),
            labels=torch.full((3,), float(n % 2)),
            persons=torch.tensor(n),
            legs=torch.tensor(n),
            erased=torch.tensor(n % 5 == 0),
        )
        for n in range(count)
    ]


def recombined(count: int, probability: float) -> Batch:
    torch.manual_seed(0)
    return Recombination(probability, torch.tensor([ABOVE, BOTH, BELOW]))(crops(count))


def shown(pixels: Tensor, waists: set[int] | None = None) -> tuple[int, int]:
    """Return whose head and whose legs a crop shows; nothing else may be in it."""
    column = pixels[0, :, 0]
    head, legs = int(column[0]), int(column[-1])
    waist = int((column == head).sum()) if head != legs else HEIGHT // 2
    assert 42 <= waist <= 58
    if waists is not None:
        waists.add(waist)
    assert (pixels[:, :waist] == head).all()
    assert (pixels[:, waist:] == legs).all()
    return head, legs


def test_all_crops_get_the_legs_of_another() -> None:
    batch = recombined(60, 1.0)
    waists: set[int] = set()
    pairs = [shown(pixels, waists) for pixels in batch.pixels]
    assert len(waists) > 10
    assert [head for head, _ in pairs] == list(range(60)) == batch.persons.tolist()
    assert [legs for _, legs in pairs] == batch.legs.tolist()
    assert sorted(batch.legs.tolist()) == list(range(60))
    for (head, legs), labels, erased in zip(pairs, batch.labels, batch.erased, strict=True):
        assert labels.tolist() == [head % 2, (head % 2 + legs % 2) / 2, legs % 2]
        assert erased == (head % 5 == 0 or legs % 5 == 0)


def test_some_crops_stay_as_they_are() -> None:
    batch = recombined(200, 0.25)
    pairs = [shown(pixels) for pixels in batch.pixels]
    other = [n for n, (head, legs) in enumerate(pairs) if head != legs]
    assert 25 < len(other) < 75
    assert [legs for _, legs in pairs] == batch.legs.tolist()
    for n in set(range(200)) - set(other):
        assert batch.labels[n].tolist() == [n % 2] * 3
        assert batch.erased[n] == (n % 5 == 0)


def test_without_recombination_a_batch_is_its_crops() -> None:
    before = torch.get_rng_state()
    batch = Recombination(0, torch.ones(3))(crops(4))
    assert torch.equal(before, torch.get_rng_state())
    assert batch.pixels[:, 0, 0, 0].tolist() == batch.persons.tolist() == [0, 1, 2, 3]
    assert batch.erased.tolist() == [True, False, False, False]


def test_crops_without_annotation() -> None:
    plain = [crop._replace(labels=torch.zeros(0)) for crop in crops(8)]
    batch = Recombination(1, torch.zeros(0))(plain)
    assert batch.labels.shape == (8, 0)


def test_where_the_attributes_show() -> None:
    above = dict(zip(COURSE.attributes, COURSE.above_waist.tolist(), strict=True))
    assert {a for a, share in above.items() if share == BOTH} == {"backpack", "bag", "handbag"}
    below = {a for a, share in above.items() if share == BELOW}
    assert below == {"clothes"} | {a for a in COURSE.attributes if a.startswith("down")}
    assert set(above.values()) == {ABOVE, BOTH, BELOW}
