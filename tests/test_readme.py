"""What README.md says works when it is pasted."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import passerby

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_commands_and_the_python_code_run(tmp_path: Path) -> None:
    for line in "".join(blocks("bash")).strip().splitlines():
        command = line.split("#")[0].strip().replace("passerby ", f"{BIN}/passerby ", 1)
        result = subprocess.run(
            command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{line}\n{result.stdout}\n{result.stderr}"
    for file in ("labels.csv", "classification_test.csv", "reid_test.txt", "report.html"):
        assert (tmp_path / file).is_file()
    (code,) = blocks("python")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_make_has_the_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\S+)", "\n".join(blocks("sh")), re.MULTILINE):
        assert f"\n{target}:" in makefile


PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/training.md",
    "docs/data.md",
    "docs/embedding.md",
    "docs/re-identification.md",
    "docs/gallery.md",
    "docs/responsible-use.md",
    "docs/model-card.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_names_in_python_examples_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    code = "".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    for name in re.findall(r"\bpb\.(\w+)", code):
        assert hasattr(passerby, name), name
    for module, names in re.findall(
        r"^from (passerby[\w.]*) import ([\w, ]+)$", code, re.MULTILINE
    ):
        found = importlib.import_module(module)
        for name in names.split(", "):
            assert hasattr(found, name), f"{module}.{name}"


def test_what_contributors_are_shown_runs(tmp_path: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    whole = [code for code in examples if "import" in code]
    assert len(whole) == 2
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops" / "parade.txt").touch()
    Image.new("RGB", (32, 64), "red").save(tmp_path / "crops" / "Ann.jpg")
    for number, (code, arguments) in enumerate(zip(whole, (["data", "list"], []), strict=True)):
        file = tmp_path / f"example{number}.py"
        file.write_text(code)
        subprocess.run([sys.executable, file, *arguments], check=True, cwd=tmp_path)
    say = "from passerby import read_crops; print(*read_crops('crops').person)"
    command = [sys.executable, "-c", f"import example1; {say}"]
    shown = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True)
    assert shown.stdout == "Ann\n"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_figures_are_those_that_were_measured() -> None:
    measured = (ROOT / "docs/results/joint.md").read_text(encoding="utf-8")
    _, section = measured.split("## joint-192-cpu, bf16, 600 persons, splits 0, 1, 2\n")
    section = section.split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines()]
    ours = {row[0].split(" (`")[0]: (row[1], row[5]) for row in rows if len(row) == 7}
    shown = re.findall(r"^\| (.+) \| (.+) \| (.+±.+) \|$", README, re.MULTILINE)
    assert len(shown) == 7
    for title, report, figure in shown:
        assert (report, figure) == ours[title]


def test_figures_of_cameras_never_seen_are_those_that_were_measured() -> None:
    file = ROOT / "docs" / "results" / "generalisation.json"
    measured = json.loads(file.read_text(encoding="utf-8"))
    models = ["joint-192-cpu", "general-cpu"]
    rows = r"^\| (3DPeS|CUHK03), .* \| (.+ / .+) \| (.+ / .+) \|$"
    shown = re.findall(rows, README, re.MULTILINE)
    assert len(shown) == 2
    for title, *figures in shown:
        for model, figure in zip(models, figures, strict=True):
            found = measured[model][title]["retrieval"]
            assert figure == f"{found['top1']:.3f} / {found['map']:.3f}"
    (market,) = re.findall(r"mAP of ([\d.]+) to ([\d.]+) on persons held out", README)
    maps = [
        found["retrieval"]["map"]
        for title, found in measured["general-cpu"].items()
        if title.startswith("Market-1501")
    ]
    assert market == (f"{min(maps):.2f}", f"{max(maps):.2f}")


def test_every_recipe_is_listed() -> None:
    from passerby.training import shipped_recipes

    for name in shipped_recipes():
        assert f"`{name}`" in README


def test_the_guide_explains_every_key() -> None:
    from passerby.training.recipe import (
        AttributeLossSection,
        AugmentSection,
        DataSection,
        IdentityLossSection,
        MetricLossSection,
        ModelSection,
        Phase,
        Recipe,
    )

    guide = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    for section in (
        AttributeLossSection,
        AugmentSection,
        DataSection,
        IdentityLossSection,
        MetricLossSection,
        ModelSection,
        Phase,
        Recipe,
    ):
        for key in section.model_fields:
            assert key in guide, key
