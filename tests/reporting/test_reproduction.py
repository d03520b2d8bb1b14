import json
from pathlib import Path
from typing import Any

import pytest

from passerby.errors import InputError
from passerby.reporting.reproduction import Plan, deviations, planned_runs, reproduce
from passerby.reporting.reproduction_page import reproduction_html, reproduction_markdown
from passerby.training import load_recipe

VERSIONS = {"passerby": "0", "torch": "1"}


def attribute_row(recipe: str, split: int, f1: float, **changes: object) -> dict:
    figures = {"precision": 0.5, "recall": 0.25, "f1": f1}
    return {
        "title": "attributes",
        "recipe": recipe,
        "split": split,
        "backbone": "resnet50.tv_in1k",
        "size": [256, 128],
        "epochs": 150,
        "training_persons": 540,
        "machine": "m",
        "versions": VERSIONS,
        **figures,
        **{f"{name}_ci": [value - 0.1, value + 0.1] for name, value in figures.items()},
        **changes,
    }


RESULTS = {
    "published": {
        "table1": {"the report": {"precision": 0.593, "recall": 0.549, "f1": 0.553}},
        "table2": {},
    },
    "table1": [attribute_row("course-attributes", split, f1) for split, f1 in ((0, 0.5), (3, 0.7))],
    "table2": [],
    "budget": 1.0,
    "missing": [],
    "kept": [],
    "persons": 751,
}


def test_the_runs_of_a_split(tmp_path: Path) -> None:
    plan = Plan(tmp_path, tmp_path / "runs", cpu=True, weights="w", overrides=("batch_size=9",))
    runs = list(planned_runs(plan, 4))
    assert [(run.folder.name, run.table) for run in runs] == [
        ("course-attributes-cpu-4", 1),
        ("course-attention-cpu-4", 1),
        ("course-reid-cpu-4", 2),
        ("apr-cpu-4", 2),
    ]
    for run in (runs[0], runs[1], runs[3]):
        assert "model.weights=w" in run.overrides
    assert f"model.weights={runs[0].folder}" in runs[2].overrides
    for run in runs:
        recipe = load_recipe(run.recipe, [*run.overrides, "batch_size=64"])
        assert (recipe.data.seed, recipe.seed) == (4, 4)
        assert run.overrides[-1] == "batch_size=9"


def test_a_budget_shortens_every_phase() -> None:
    recipe = load_recipe("course-attributes").shorten(0.1)
    assert [(p.epochs, p.warmup_epochs) for p in recipe.phases] == [(5, 0.1), (10, 0.0)]
    assert [p.epochs for p in load_recipe("smoke").shorten(0.01).phases] == [1, 1]
    with pytest.raises(InputError, match="The budget is 0: choose a fraction"):
        Plan(Path(), Path(), budget=0)


def test_the_table() -> None:
    """Mean and deviation of 0.5 and 0.7: 0.6 ± √0.02 = 0.141."""
    text = reproduction_markdown(RESULTS, "passerby reproduce")
    assert "| the report | its own | 0.593 | 0.549 | 0.553 |" in text
    row = "| course-attributes: attributes | 3 | 0.500 (0.400–0.600) | 0.250 (0.150–0.350) | "
    assert f"{row}0.700 (0.600–0.800) |" in text
    assert "**mean ± sd** | 0.500 ± 0.000 | 0.250 ± 0.000 | 0.600 ± 0.141 |" in text
    assert "Table 2" not in text


def test_every_deviation_is_named() -> None:
    same = deviations(RESULTS)
    assert "drawn by seed (0, 3)" in same[0]
    assert "540 persons are trained on, the report's 600" in same[1]
    assert not any("backbone" in sentence or "--budget" in sentence for sentence in same)
    short = {
        **RESULTS,
        "budget": 0.2,
        "persons": 60,
        "missing": ["apr-0"],
        "table1": [attribute_row("course-attributes", 0, 0.5, backbone="lite", epochs=30)],
    }
    text = " ".join(deviations(short))
    for expected in (
        "other data, of 60 persons",
        "--budget 0.2: every phase was shortened",
        "The backbone is lite, the report's a ResNet-50",
        "course-attributes: 30 epochs, the report's took 150",
        "not trained: apr-0",
    ):
        assert expected in text


def test_the_page_says_the_same_as_html() -> None:
    results = {**RESULTS, "missing": ["<script>-0"]}
    page = reproduction_html(results, "passerby reproduce --out x")
    assert "<td>0.593</td>" in page
    assert "<strong>mean ± sd</strong>" in page
    assert "<code>passerby reproduce --out x</code>" in page
    assert "<script>" not in page
    json.dumps(results)


def test_rows_of_runs_that_are_gone_are_kept(toy_data: Path, tmp_path: Path) -> None:
    earlier = RESULTS | {"persons": 24}
    plan = Plan(toy_data, tmp_path / "runs", splits=(0, 3), train=False)

    def found(before: dict[str, Any]) -> dict[str, Any]:
        return reproduce(plan, lambda run: None, lambda sentence: None, before)

    results = found(earlier)
    assert results["table1"] == earlier["table1"]
    assert results["kept"] == ["course-attributes-0", "course-attributes-3"]
    assert "course-reid-0" in results["missing"]
    assert "their runs gone: course-attributes-0, course-attributes-3." in "".join(
        deviations(results)
    )
    with pytest.raises(InputError, match="no finished run"):
        found(earlier | {"persons": 25})
