"""`passerby gallery …` as a person runs it."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def gallery(filled_gallery: Path, tmp_path: Path) -> Path:
    """A gallery of 144 toy crops, for one test to change."""
    return Path(shutil.copytree(filled_gallery, tmp_path / "gallery"))


@pytest.fixture
def crop(toy_data: Path) -> Path:
    return min((toy_data / "train").iterdir())


def test_from_nothing_to_answers(
    passerby, calibrated_model: Path, toy_data: Path, tmp_path: Path, crop: Path
) -> None:
    gallery = tmp_path / "new"
    made = passerby("gallery", "create", gallery, "--model", calibrated_model)
    assert made.code == 0
    assert f"passerby gallery add {gallery} FOLDER" in made.err
    added = passerby("gallery", "add", gallery, toy_data / "train", "--source", "gate")
    assert (added.code, added.err) == (0, "144 crops added, 0 known already.")
    again = passerby("gallery", "add", gallery, toy_data / "train")
    assert again.err == "0 crops added, 144 known already."

    found = passerby("gallery", "search", gallery, "--image", crop, "--top-k", 3)
    assert found.code == 0
    assert "answers" in found.out
    assert "3 answers among 144 crops." in found.out
    as_json = json.loads(
        passerby("gallery", "search", gallery, "--image", crop, "--top-k", 3, "--json").out
    )
    first = as_json["answers"][0]
    assert first["source"] == "gate"
    assert 0 <= first["probability"] <= 1
    assert len(first["attributes"]) == 32
    assert as_json["threshold"] is None
    cut = json.loads(passerby("gallery", "search", gallery, "--image", crop, "--json").out)
    assert all(answer["distance"] <= cut["threshold"] for answer in cut["answers"])

    info = json.loads(passerby("gallery", "info", gallery, "--json").out)
    assert (info["rows"], info["persons"], info["sources"]) == (144, 24, {"gate": 144})
    assert "144" in passerby("gallery", "info", gallery).out


def test_by_description(passerby, gallery: Path) -> None:
    result = passerby(
        "gallery", "search", gallery, "--where", "camera in (1, 2) and upred > 0.001", "--json"
    )
    answers = json.loads(result.out)["answers"]
    assert len(answers) == 20
    assert {answer["camera"] for answer in answers} <= {"1", "2"}
    scores = [answer["score"] for answer in answers]
    assert scores == sorted(scores, reverse=True)
    nobody = passerby("gallery", "search", gallery, "--where", "camera = 77")
    assert nobody.out.startswith("No crop of the gallery fulfils the description")
    wrong = passerby("gallery", "search", gallery, "--where", "bagpack")
    assert (wrong.code, wrong.out) == (2, "")
    assert "did you mean 'backpack'?" in wrong.err


def test_a_folder_that_holds_a_manifest(passerby, model_file, tmp_path: Path) -> None:
    Image.new("RGB", (32, 64), "red").save(tmp_path / "a.png")
    (tmp_path / "crops.csv").write_text("path,person,camera\na.png,Ann,north gate\n")
    place = tmp_path / "gallery"
    assert passerby("gallery", "create", place, "--model", model_file).code == 0
    assert passerby("gallery", "add", place, tmp_path).code == 0
    info = json.loads(passerby("gallery", "info", place, "--json").out)
    assert (info["rows"], info["persons"], info["cameras"]) == (1, 1, {"north gate": 1})


def test_a_narrow_terminal_still_names_the_file(
    passerby, gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passerby.cli.console.out.width", 80)
    shown = passerby("gallery", "search", gallery, "--where", "camera = 1", "--top-k", "1").out
    path = json.loads(
        passerby(
            "gallery", "search", gallery, "--where", "camera = 1", "--top-k", "1", "--json"
        ).out
    )["answers"][0]["path"]
    assert Path(path).name[:15] in shown


def test_forgetting_asks_first(passerby, gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    unasked = passerby("gallery", "forget", gallery, "--person", "0003")
    assert unasked.code == 2
    assert "Nobody said yes, so nothing is erased: give --yes." in unasked.err
    assert "6 crops" in unasked.err, "what would be erased is shown"

    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    refused = passerby("gallery", "forget", gallery, "--person", "0003")
    assert refused.code == 0
    assert refused.err.endswith("Nothing is erased.")
    assert json.loads(passerby("gallery", "info", gallery, "--json").out)["rows"] == 144

    monkeypatch.setattr("typer.confirm", lambda *_, **__: True)
    agreed = passerby("gallery", "forget", gallery, "--person", "0003", "--reason", "asked for")
    assert agreed.code == 0
    assert "6 crops erased; nothing of them is left in any file of the gallery." in agreed.err
    assert "138 crops left." in agreed.err
    log = passerby("gallery", "log", gallery)
    assert "forget" in log.out
    assert "asked for" in log.out


def test_forgetting_by_photo_and_nobody(passerby, gallery: Path, crop: Path) -> None:
    once = passerby("gallery", "forget", gallery, "--image", crop, "--yes", "--json")
    assert json.loads(once.out) == {"rows": 1, "scanned": True, "twins": []}
    twice = passerby("gallery", "forget", gallery, "--image", crop, "--yes")
    assert (twice.code, twice.err) == (
        0,
        "The gallery has no such crop: nothing is erased.",
    )
    for nobody in ("3", "3000000000", "north gate", "'; DROP TABLE crops"):
        gone = passerby("gallery", "forget", gallery, "--person", nobody, "--yes")
        assert (gone.code, gone.err) == (0, twice.err), "a person's name is exact text"
    unsaid = passerby("gallery", "forget", gallery, "--yes")
    assert unsaid.code == 2
    assert "in one way" in unsaid.err


def test_purging(passerby, gallery: Path) -> None:
    assert "nothing is erased" in passerby("gallery", "purge", gallery, "--older-than", "1d").err
    wrong = passerby("gallery", "purge", gallery, "--older-than", "soon")
    assert wrong.code == 2
    assert "'soon' is not an age: write 12h, 30d" in wrong.err
    without = passerby("gallery", "purge", gallery)
    assert (without.code, without.out) == (2, "")
    assert "has no retention of its own: give --older-than." in without.err


def test_purging_what_the_gallery_keeps_no_longer(
    passerby, calibrated_model: Path, crop: Path, tmp_path: Path
) -> None:
    gallery, table = tmp_path / "new", tmp_path / "crops.csv"
    table.write_text(f"path,time\n{crop},2020-01-01\n")
    passerby("gallery", "create", gallery, "--model", calibrated_model, "--keep-for", "8w")
    passerby("gallery", "add", gallery, table)
    purged = passerby("gallery", "purge", gallery, "--yes", "--json")
    assert json.loads(purged.out)["rows"] == 1


def test_forgetting_a_twin_by_the_hash_that_is_told(
    passerby, gallery: Path, crop: Path, tmp_path: Path
) -> None:
    # the same picture in another file
    twin = tmp_path / "twin.jpg"
    twin.write_bytes(crop.read_bytes() + b"\0")
    assert "1 crop added" in passerby("gallery", "add", gallery, twin).err
    once = passerby("gallery", "forget", gallery, "--image", twin, "--yes")
    command = once.err.splitlines()[-1].partition("to erase it too: passerby ")[2].split()
    assert command[:4] == ["gallery", "forget", str(gallery), "--hash"]
    again = passerby(*command, "--yes", "--json")
    assert json.loads(again.out) == {"rows": 1, "scanned": True, "twins": []}


def test_a_log_that_was_taken_away(passerby, gallery: Path) -> None:
    sentence = "The log does not begin with the making of the gallery: a part of it is missing."
    assert sentence not in passerby("gallery", "log", gallery).err
    (gallery / "audit.jsonl").unlink()
    assert sentence in passerby("gallery", "log", gallery).err
    passerby("gallery", "search", gallery, "--where", "hat")
    assert sentence in passerby("gallery", "log", gallery, "--json").err


def test_each_answer_names_its_crop_in_eighty_columns(passerby, gallery: Path, crop: Path) -> None:
    found = passerby("gallery", "search", gallery, "--image", crop, "--top-k", 9)
    names = {path.name for path in crop.parent.iterdir()}
    lines = [line for line in found.out.splitlines() if names & set(line.split())]
    assert len(lines) == 9
    assert max(map(len, found.out.splitlines())) <= 80


def test_names_by_a_pattern_and_a_table(
    passerby, calibrated_model: Path, crop: Path, tmp_path: Path
) -> None:
    gallery, folder = tmp_path / "new", tmp_path / "crops"
    folder.mkdir()
    shutil.copy(crop, folder / "gate_7_20261101-083000.jpg")
    (tmp_path / "crops.csv").write_text(f"path,camera,time\n{crop},3,2026-11-02T10:00:00Z\n")
    passerby("gallery", "create", gallery, "--model", calibrated_model, "--keep-for", "30d")
    pattern = "{source}_{camera}_{time:%Y%m%d-%H%M%S}.jpg"
    added = passerby("gallery", "add", gallery, folder, "--pattern", pattern, "--json")
    assert json.loads(added.out) == {"added": 1, "known": 0, "skipped": []}
    shutil.copy(crop, folder / "holiday.jpg")
    stopped = passerby("gallery", "add", gallery, folder, "--pattern", pattern)
    assert (stopped.code, stopped.out) == (2, "")
    assert "holiday.jpg is not like --pattern" in stopped.err
    options = ("--pattern", pattern, "--skip-broken", "--json")
    added = passerby("gallery", "add", gallery, folder, *options)
    assert json.loads(added.out)["known"] == 1
    (skipped,) = json.loads(added.out)["skipped"]
    assert skipped.startswith("holiday.jpg is not like")
    assert added.err.endswith("0 crops added, 1 known already, 1 skipped.")
    info = json.loads(passerby("gallery", "info", gallery, "--json").out)
    assert info["cameras"] == {"7": 1}
    assert info["taken"] == ["2026-11-01T08:30:00+00:00"] * 2
    assert info["retention_days"] == 30
    where = "time >= 2026-11-01 and time < 2026-11-02 and source = 'gate'"
    found = passerby("gallery", "search", gallery, "--where", where, "--json")
    assert len(json.loads(found.out)["answers"]) == 1
    known = passerby("gallery", "add", gallery, tmp_path / "crops.csv", "--json")
    assert json.loads(known.out)["known"] == 1, "the same content, whatever it is called"


def test_broken_crops(passerby, gallery: Path, tmp_path: Path) -> None:
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops/a.jpg").write_bytes(b"no image")
    stopped = passerby("gallery", "add", gallery, tmp_path / "crops")
    assert stopped.code == 2
    assert "a.jpg is not an image" in stopped.err
    skipped = passerby("gallery", "add", gallery, tmp_path / "crops", "--skip-broken")
    assert skipped.code == 0
    assert "Skipped:" in skipped.err
    assert "0 crops added, 0 known already, 1 skipped." in skipped.err


def test_exporting_and_repairing(passerby, gallery: Path, tmp_path: Path) -> None:
    target = tmp_path / "rows.csv"
    assert (
        passerby("gallery", "export", gallery, "--out", target, "--where", "camera = 1").code == 0
    )
    with target.open(newline="") as file:
        assert {row["camera"] for row in csv.DictReader(file)} == {"1"}
    assert "All crops can be read." in passerby("gallery", "repair", gallery).err
    small = passerby("gallery", "index", gallery)
    assert small.code == 2
    assert "exact search is as fast below that" in small.err


def test_another_model(passerby, gallery: Path, model_file: Path, crop: Path) -> None:
    same = passerby(
        "gallery", "search", gallery, "--image", crop, "--top-k", 1, "--model", model_file
    )
    assert same.code == 0, "the same network, wherever it lies"
    assert passerby("gallery", "reindex", gallery, "--model", model_file).code == 0
    uncalibrated = passerby("gallery", "search", gallery, "--image", crop)
    assert uncalibrated.code == 2
    assert "not calibrated" in uncalibrated.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("info", "nowhere"), "nowhere is not a gallery of Passerby: make one with"),
        (("create", "x", "--images", "none"), "--images is 'none': choose thumbnails or paths."),
        (("create", "x", "--keep-for", "1h"), "'1h' is not a time to keep crops for: write 30d"),
        (("create", "x", "--keep-for", "999999y"), "reaches back before the calendar"),
        (("create", "memory://x"), "memory://x is not a place for a gallery: give a folder, or"),
        (("create", "file:///tmp/x"), "is not a place for a gallery"),
        (("search", "nowhere", "--where", "hat"), "is not a gallery"),
    ],
)
def test_mistakes(passerby, arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = passerby("gallery", *arguments)
    assert result.code == 2
    assert message in result.err
