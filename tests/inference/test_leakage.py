from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from passerby.data import MARKET1501_ATTRIBUTES, Crops, Schema
from passerby.errors import InputError
from passerby.inference import ModelInfo, Preprocessing
from passerby.inference.leakage import is_training_data, is_unlabelled_data, leave_out_seen

CROPS = Crops(
    paths=tuple(Path(f"{i}.jpg") for i in range(5)),
    persons=np.array([1, 1, 2, 3, 3]),
    labels=np.zeros((5, 32), bool),
    schema=MARKET1501_ATTRIBUTES,
)


def model(**training: object) -> ModelInfo:
    return ModelInfo(
        name="x",
        schema_name=MARKET1501_ATTRIBUTES.name,
        attributes=MARKET1501_ATTRIBUTES.attributes,
        embedding_size=1,
        preprocessing=Preprocessing(height=8, width=8, mean=(0, 0, 0), std=(1, 1, 1)),
        architecture={},
        training=training,
    )


def test_of_its_own_data_only_the_held_out_persons() -> None:
    info = model(data=CROPS.fingerprint, held_out_persons=[3])
    assert is_training_data(CROPS, info)
    assert [p.name for p in leave_out_seen(CROPS, info).paths] == ["3.jpg", "4.jpg"]


def test_of_other_data_everyone() -> None:
    for info in (model(data="other", held_out_persons=[3]), model()):
        assert not is_training_data(CROPS, info)
        assert leave_out_seen(CROPS, info) is CROPS


def test_crops_that_were_learned_from_without_their_annotation() -> None:
    info = model(unlabelled=["other", Crops(CROPS.paths).fingerprint])
    assert is_unlabelled_data(CROPS, info)
    assert not is_unlabelled_data(CROPS[:4], info)
    assert not is_unlabelled_data(CROPS, model(unlabelled=["other"]))


def test_nobody_is_left() -> None:
    with pytest.raises(InputError, match="trained on every person of these data"):
        leave_out_seen(CROPS, model(data=CROPS.fingerprint, held_out_persons=[]))


def test_another_schema() -> None:
    other = Schema("peta-32", MARKET1501_ATTRIBUTES.fields, MARKET1501_ATTRIBUTES.columns)
    with pytest.raises(InputError, match=r"answers the schema course-32, .* with peta-32"):
        leave_out_seen(replace(CROPS, schema=other), model())


def test_nobody_is_known() -> None:
    with pytest.raises(InputError, match="These crops have no person ids"):
        leave_out_seen(Crops(paths=CROPS.paths), model())
