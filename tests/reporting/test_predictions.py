import csv
import io
from pathlib import Path

import numpy as np
from rich.console import Console

from passerby.data import MARKET1501_ATTRIBUTES, Crops
from passerby.inference import Decision, Embeddings
from passerby.reporting.predictions import prediction_csv, prediction_table


def embedded(names: list[str], **probabilities: float) -> Embeddings:
    values = np.full((len(names), 32), 0.1, np.float32)
    for attribute, value in probabilities.items():
        values[:, MARKET1501_ATTRIBUTES.index(attribute)] = value
    crops = Crops(paths=tuple(Path("somewhere") / name for name in names))
    return Embeddings(
        crops, np.ones((len(names), 2), np.float32), values, MARKET1501_ATTRIBUTES, "m"
    )


def test_the_file_by_hand() -> None:
    people = embedded(["b.jpg", "a.jpg"], adult=0.4, hat=0.5, upred=0.3, downmulticolor=0.2)
    rows = list(csv.DictReader(io.StringIO(prediction_csv(people, Decision("group")))))
    assert [row["id"] for row in rows] == ["a.jpg", "b.jpg"]
    expected = dict.fromkeys(MARKET1501_ATTRIBUTES.columns, "1") | {
        "age": "3",
        "hat": "2",
        "upred": "2",
    }
    assert {column: rows[0][column] for column in MARKET1501_ATTRIBUTES.columns} == expected


def test_each_group_gets_one_answer_under_any_rule() -> None:
    people = embedded(["a.jpg"], old=0.3, upblue=0.7, upred=0.8, downgray=0.2)
    for decision in (Decision("fixed"), Decision("thresholds", (0.6,) * 32)):
        (row,) = csv.DictReader(io.StringIO(prediction_csv(people, decision)))
        assert row["age"] == "4"
        assert [column for column in MARKET1501_ATTRIBUTES.columns if row[column] == "2"] == [
            "upred",
            "downgray",
        ]


def test_the_table_shows_the_probability_of_what_it_says() -> None:
    people = embedded(["a.jpg"], gender=0.97, hair=0.25, upred=0.8, adult=0.6)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(prediction_table(people, Decision("group")))
    lines = console.export_text().splitlines()
    shown = {
        cells[1].strip(): (cells[2].strip(), cells[3].strip())
        for cells in (line.split("│") for line in lines)
        if len(cells) == 5
    }
    assert shown["gender"] == ("female", "97%")
    assert shown["hair"] == ("short hair", "75%")
    assert shown["upcolor"] == ("red top", "80%")
    assert shown["age"] == ("adult", "60%")
    assert len(shown) == len(MARKET1501_ATTRIBUTES.fields)
