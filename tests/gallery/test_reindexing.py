import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from passerby.data import Crops
from passerby.datasets.finding import find_crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.gallery import Gallery
from passerby.gallery.byte_scan import find_bytes
from passerby.gallery.store import Store
from passerby.gallery.table_schema import vectors_of
from passerby.inference import RuntimeModel
from passerby.models import Architecture, PersonModel, save_model


@pytest.fixture(scope="module")
def other_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("models") / "other"
    model = PersonModel(
        Architecture(backbone="test_efficientnet", size=(48, 24)), MARKET1501_ATTRIBUTES
    )
    save_model(model, folder, name="other")
    return folder


def test_all_crops_by_another_model(gallery: Gallery, other_file: Path, toy_data: Path) -> None:
    other = RuntimeModel.load(other_file)
    before = {row["hash"]: row for row in gallery.rows(limit=1000)}
    old = vectors_of(gallery._store.crops.to_arrow())[0].tobytes()[:24]
    assert gallery.reindex(other, str(other_file), reason="a better one") == 144
    assert gallery.settings.model_fingerprint == other.info.fingerprint
    known = ("path", "person", "camera", "time", "source", "added")
    for value, row in before.items():
        (now,) = gallery.of_hashes([value])
        assert {name: now[name] for name in known} == {name: row[name] for name in known}
    assert find_bytes(Path(gallery.where), [old]) == {}, "the old vectors are gone"
    assert gallery.audit()[-1].reason == "a better one"

    again = Gallery.open(gallery.where)
    crop = find_crops([toy_data / "train"])[:1]
    assert again.add(crop).known == 1
    prepared = again.prepare(crop.paths[0].read_bytes(), crop.paths[0])
    vector = other.run(prepared.pixels[None])[0][0]
    (stored,) = vectors_of(
        again._store.crops.search().where(f"hash = '{prepared.hash}'").limit(1).to_arrow()
    )
    # from the thumbnail, compressed once more
    assert np.linalg.norm(stored - vector) < 0.15


def test_crops_that_are_gone(
    model: RuntimeModel, other_file: Path, toy_data: Path, tmp_path: Path
) -> None:
    paths = [
        Path(shutil.copy(path, tmp_path / path.name))
        for path in find_crops([toy_data / "train"]).paths[:5]
    ]
    gallery = Gallery.create(tmp_path / "gallery", model, images="paths")
    gallery.add(Crops(paths))
    paths[2].unlink()
    other = RuntimeModel.load(other_file)
    with pytest.raises(InputError, match=f"Cannot read {paths[2]}"):
        gallery.reindex(other, str(other_file))
    assert gallery.settings.model_fingerprint == model.info.fingerprint, "nothing was changed"
    assert len(Gallery.open(gallery.where, model)) == 5
    reported: list[str] = []
    rows = gallery.reindex(
        other, str(other_file), on_broken=lambda error: reported.append(str(error))
    )
    assert (rows, len(reported)) == (4, 1)


def test_who_opened_it_before_has_to_start_again(
    gallery: Gallery, model: RuntimeModel, other_file: Path, toy_data: Path
) -> None:
    """Otherwise a server would compare vectors of two models, and store them side by side."""
    before = Gallery.open(gallery.where, model)
    gallery.reindex(RuntimeModel.load(other_file), str(other_file))
    crop = find_crops([toy_data / "test"])[:1]
    again = "was embedded again, by other, since it was opened"
    with pytest.raises(InputError, match=again):
        before.search([crop.paths[0]])
    with pytest.raises(InputError, match=again):
        before.add(crop)
    assert len(gallery) == 144


def test_interrupted_before_the_old_vectors_are_gone(
    gallery: Gallery, other_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens the gallery next deletes them."""
    old = vectors_of(gallery._store.crops.to_arrow())[0].tobytes()[:24]

    def killed(_: Store) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "clean_up", killed)
        with pytest.raises(KeyboardInterrupt):
            gallery.reindex(RuntimeModel.load(other_file), str(other_file))
    assert set(find_bytes(Path(gallery.where), [old])) == {old}

    again = Gallery.open(gallery.where)
    assert again.finished_interrupted
    assert find_bytes(Path(gallery.where), [old]) == {}
    assert (len(again), again.audit()[-1].operation) == (144, "reindex")
    assert not Gallery.open(gallery.where).finished_interrupted
