import csv
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from passerby.data import Crops, Schema
from passerby.datasets.market1501_attributes import COLUMNS, MARKET1501_ATTRIBUTES
from passerby.errors import InputError
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
    expected = dict.fromkeys(COLUMNS, "1") | {
        "age": "3",
        "hat": "2",
        "upred": "2",
    }
    assert {column: rows[0][column] for column in COLUMNS} == expected


def test_each_group_gets_one_answer_under_any_rule() -> None:
    people = embedded(["a.jpg"], old=0.3, upblue=0.7, upred=0.8, downgray=0.2)
    for decision in (Decision("fixed"), Decision("thresholds", (0.6,) * 32)):
        (row,) = csv.DictReader(io.StringIO(prediction_csv(people, decision)))
        assert row["age"] == "4"
        assert [column for column in COLUMNS if row[column] == "2"] == [
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
    assert shown["upper colour"] == ("red top", "80%")
    assert shown["age"] == ("adult", "60%")
    assert len(shown) == len(MARKET1501_ATTRIBUTES.fields)


def test_another_schema_writes_a_column_for_each_attribute() -> None:
    schema = Schema.of(["helmet", "Skirt&Dress", "Age18-60"])
    values = np.array([[0.9, 0.1, 0.5], [0.2, 0.8, 0.4]], np.float32)
    crops = Crops([Path("b.jpg"), Path("a.jpg")])
    people = Embeddings(crops, np.ones((2, 2), np.float32), values, schema, "m")
    assert prediction_csv(people, Decision("fixed")).splitlines() == [
        "id,helmet,Skirt&Dress,Age18-60",
        "a.jpg,0,1,0",
        "b.jpg,1,0,1",
    ]


def test_a_model_without_attributes_predicts_none() -> None:
    people = Embeddings(Crops([Path("a.jpg")]), np.ones((1, 2), np.float32))
    with pytest.raises(InputError, match="was not trained on attributes"):
        prediction_csv(people, Decision("fixed"))
