"""The Triton path: its matrix of cases in the interpreter and on a card, how it is chosen, and when it is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rwae_kit.errors import RwaeError
from rwae_kit.kernels.mmd import GaussianMixture, choose_path, mmd2, triton_path
from rwae_kit.kernels.mmd.triton_table import large_tiles, padded

HERE = Path(__file__).parent
KERNEL = GaussianMixture((1, 2, 4))
ALL = ("reference", "torch", "triton", "cpp")


def run_matrix(device: str, *options: str) -> None:
    """The cases in a process of their own: triton reads TRITON_INTERPRET when it is imported."""
    extra = {"TRITON_INTERPRET": "1"} if device == "cpu" else {"TRITON_INTERPRET": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(HERE / "triton_matrix.py")],
        env=os.environ | extra | {"RWAE_TRITON_DEVICE": device},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_cases_agree_with_float64_in_the_interpreter() -> None:
    pytest.importorskip("triton")
    run_matrix("cpu")


@pytest.mark.slow
def test_the_slow_cases_agree_with_float64_in_the_interpreter() -> None:
    pytest.importorskip("triton")
    run_matrix("cpu", "-m", "slow")


@pytest.mark.gpu
def test_every_case_agrees_with_float64_on_a_card() -> None:
    pytest.importorskip("triton")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    run_matrix("cuda", "-m", "slow or not slow")


def test_auto_takes_it_on_cuda_unless_that_needs_more_precision() -> None:
    assert choose_path("cuda", "float32", available=ALL) == "triton"
    assert choose_path("cuda", "bfloat16", available=ALL, precision="medium") == "triton"
    assert choose_path("cuda", "float32", available=ALL, precision="highest") == "torch"
    assert choose_path("cuda", "float64", available=ALL) == "torch"
    assert choose_path("cuda", "float32", available=("reference", "torch")) == "torch"
    assert choose_path("cpu", "float32", available=ALL) == "cpp"
    assert choose_path("cpu", "float32", available=ALL[:-1]) == "torch"


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_float32_products_satisfy_every_precision(precision) -> None:
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mmd2(x, x + 1, KERNEL, precision=precision, path="torch"), mmd2(x, x + 1, KERNEL, path="torch"))


def test_what_cannot_run_is_refused_with_what_would(monkeypatch) -> None:
    x = torch.zeros(4, 6)
    with pytest.raises(RwaeError, match=r"unknown precision 'hihg'\. Did you mean 'high'"):
        mmd2(x, x, KERNEL, precision="hihg")
    monkeypatch.setattr(triton_path, "is_installed", lambda: False)
    with pytest.raises(RwaeError, match=r"pip install 'rwae-kit\[gpu\]'"):
        mmd2(x, x, KERNEL, path="triton")
    monkeypatch.setattr(triton_path, "is_installed", lambda: True)
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(RwaeError, match=r"float32 on cpu. .* path 'torch' takes these"):
        mmd2(x, x, KERNEL, path="triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(RwaeError, match=r"precision 'highest'. .* path 'torch' has 'highest'"):
        mmd2(x, x, KERNEL, path="triton", precision="highest")
    with pytest.raises(RwaeError, match="float64 on cpu"):
        mmd2(x.double(), x.double(), KERNEL, path="triton")


def test_a_plain_install_neither_has_nor_needs_it(monkeypatch) -> None:
    monkeypatch.setattr(triton_path, "find_spec", lambda _: None)
    assert not triton_path.is_installed()
    assert not triton_path.is_there()


@pytest.mark.parametrize("d", [4, 16, 17, 79, 128, 129, 500])
def test_the_table_has_tiles_for_every_size(d) -> None:
    size, chunk = padded(d)
    assert size >= d
    assert size % chunk == 0
    for capability in (8, 9, 10, 12):
        for three in (True, False):
            for gradient in (True, False):
                tiles = large_tiles(capability, d, three=three, gradient=gradient)
                assert tiles.rows % tiles.columns == 0 or (gradient and tiles.columns % tiles.rows == 0)


def test_strength_times_links_is_the_mixture() -> None:
    found, strength = triton_path.links(GaussianMixture((1, 2, 4), (0.1, 0.2, 0.7)))
    assert [strength * value for _, _, value, _ in found] == pytest.approx([0.7, 0.2, 0.1])
    assert [slope / value for _, _, value, slope in found] == pytest.approx([1, 4, 16])
