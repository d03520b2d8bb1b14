import pytest
import torch

from passerby.training.hardware import choose_precision, emulates_bf16


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


@pytest.mark.parametrize(
    ("machine", "device", "found", "expected"),
    [
        ("x86_64", "cpu", {"avx2": True}, True),
        ("x86_64", "cpu", {"avx512_bf16": True, "amx_bf16": False}, False),
        ("x86_64", "cpu", {"avx512_bf16": False, "amx_bf16": True}, False),
        ("x86_64", "cuda", {}, False),
        ("aarch64", "cpu", {}, False),
    ],
)
def test_cpus_without_bf16_are_known(
    monkeypatch: pytest.MonkeyPatch, machine: str, device: str, found: dict, expected: bool
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert emulates_bf16(torch.device(device)) == expected
