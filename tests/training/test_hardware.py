import pytest
import torch

from passerby.training.hardware import choose_precision


@pytest.mark.parametrize(
    ("wanted", "device", "has_it", "expected"),
    [
        ("auto", "cuda", True, "bf16"),
        ("auto", "cuda", False, "fp32"),
        ("auto", "cpu", True, "fp32"),
        ("bf16", "cpu", False, "bf16"),
        ("fp32", "cuda", True, "fp32"),
    ],
)
def test_bf16_is_for_gpus_that_do_not_emulate_it(
    monkeypatch: pytest.MonkeyPatch, wanted: str, device: str, has_it: bool, expected: str
) -> None:
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: including_emulation or has_it,
    )
    assert choose_precision(wanted, torch.device(device)) == expected
