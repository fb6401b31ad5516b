"""The C++ path: found when built, never built unasked, the same bits for any number of threads."""

from __future__ import annotations

import json

import pytest
import torch

from rwae_kit.cli import main
from rwae_kit.errors import RwaeError
from rwae_kit.kernels.mmd import GaussianMixture, available_paths, cpp, mmd2

KERNEL = GaussianMixture((1, 2, 4, 8, 16), (0.2,) * 5)


def test_a_named_path_that_cannot_run_is_refused_with_how_to_get_it(not_built) -> None:
    x = torch.zeros(4, 2)
    assert available_paths() == ("reference", "torch")
    with pytest.raises(RwaeError, match="rwk doctor --build"):
        mmd2(x, x, KERNEL, path="cpp")
    with pytest.raises(RwaeError, match="float64 on cpu"):
        mmd2(x.double(), x.double(), KERNEL, path="cpp")
    assert mmd2(x, x, KERNEL).item() == 0


def test_auto_takes_it_once_it_is_built(built, monkeypatch) -> None:
    called = []
    compute = cpp.compute
    monkeypatch.setitem(
        mmd2.__globals__["engine"].__globals__["_ENGINES"], "cpp", lambda *given: called.append(1) or compute(*given)
    )
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    mmd2(x, x + 1, KERNEL)
    assert called
    mmd2(x.double(), x.double() + 1, KERNEL)
    assert len(called) == 1


@pytest.mark.parametrize(("g", "n", "d"), [(1, 700, 20), (6, 200, 40)])
def test_any_number_of_threads_gives_the_same_bits(built, g, n, d) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(g, n, d, generator=generator).requires_grad_() for _ in range(2))
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            value = mmd2(x, y, KERNEL, path="cpp")
            found.append((value.detach(), *torch.autograd.grad(value.sum(), (x, y))))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_a_compiler_that_is_missing_or_refuses_is_named(not_built, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RwaeError, match="'no-such-compiler' does not start"):
        cpp.build()
    source = tmp_path / "mmd.cpp"
    source.write_text("this is no program", encoding="utf-8")
    monkeypatch.delenv("CXX")
    monkeypatch.setattr(cpp, "SOURCE", source)
    with pytest.raises(RwaeError, match=r"does not build mmd.cpp|does not start"):
        cpp.build()
    assert not cpp.library_file().exists()


def test_doctor_builds_when_asked_and_says_which_path_runs(library, not_built, monkeypatch, capsys) -> None:
    main(["doctor", "--json"])
    assert json.loads(capsys.readouterr().out)["mmd"] in ("torch", "reference")
    monkeypatch.setattr(cpp, "_compile", lambda made: made.write_bytes(library.read_bytes()))
    main(["doctor", "--build", "--json"])
    expected = "torch" if torch.cuda.is_available() else "cpp"
    assert json.loads(capsys.readouterr().out)["mmd"] == expected
    assert cpp.library_file().is_file()
