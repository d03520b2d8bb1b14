import io

import numpy as np
from rich.console import Console

from passerby.data import Crops
from passerby.datasets.description import Description
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.evaluation import evaluate_attributes
from passerby.inference import Decision, Embeddings
from passerby.reporting.tables import attribute_tables, description_tables


def printed(parts: object) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    for part in parts:  # type: ignore[attr-defined]
        console.print(part)
    return console.export_text()


def test_a_report_names_both_averages_and_what_is_undefined() -> None:
    labels = np.zeros((2, 32), bool)
    labels[0, MARKET1501_ATTRIBUTES.index("hat")] = True
    crops = Crops(["a", "b"], person=[1, 2], labels=labels, schema=MARKET1501_ATTRIBUTES)
    people = Embeddings(
        crops, np.ones((2, 1), np.float32), labels.astype(np.float32), MARKET1501_ATTRIBUTES, "m"
    )
    text = printed(attribute_tables(evaluate_attributes(people, Decision("fixed"))))
    assert "all 32, undefined = 0" in text
    assert "the 1 defined" in text
    assert "2 crops of 2 persons; decision rule: fixed." in text
    assert "left out of 'defined': young, teenager" in text
    hat = next(line for line in text.splitlines() if "│ hat" in line)
    assert [cell.strip() for cell in hat.split("│")[3:6]] == ["1.000", "1.000", "1.000"]
    backpack = next(line for line in text.splitlines() if "│ backpack" in line)
    assert "–" in backpack


def test_averages_over_crops_of_one_person_have_a_line_of_their_own() -> None:
    labels = np.zeros((2, 32), bool)
    labels[0, MARKET1501_ATTRIBUTES.index("hat")] = True
    crops = Crops(["a", "b"], person=[1, 2], labels=labels, schema=MARKET1501_ATTRIBUTES)
    right, wrong = (
        evaluate_attributes(
            Embeddings(crops, np.ones((2, 1), np.float32), p, MARKET1501_ATTRIBUTES, "m")
        )
        for p in (labels.astype(np.float32), 1 - labels.astype(np.float32))
    )
    text = printed(attribute_tables(wrong, right))
    # nobody has one of the seven ages and colours; the first of equals is none of them
    assert "F1 0.031 (all), mA 1.000 (defined), official 12 0.750." in text.replace("\n", " ")
    assert "same person" not in printed(attribute_tables(wrong))


def test_a_description_lists_unfilled_groups_and_problems() -> None:
    description = Description(
        layout="course",
        split="train",
        crops=12_345,
        persons=7,
        distractors=2,
        junk=1,
        cameras={"3": 12},
        crops_per_person=(1, 2.5, 9),
        attributes=dict.fromkeys(MARKET1501_ATTRIBUTES.names, 0.25),
        unfilled_groups={"lower colour": ("downpurple", "downyellow")},
        problems=("a.jpg is empty: replace or remove it.",),
        remarks=("2 crops are dark.",),
    )
    text = printed(description_tables(description))
    for expected in (
        "12,345",
        "1 to 9, median 2.5",
        "camera 3",
        "25.0%",
        "No person is downpurple or downyellow (group lower colour).",
        "Problems found: 1",
        "a.jpg is empty",
        "2 crops are dark.",
    ):
        assert expected in text
