"""The C++ path, built once for all tests into a folder of their own, and seen only by the tests that ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rwae_kit.errors import RwaeError
from rwae_kit.kernels.mmd import cpp


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> Path:
    """The compiled library."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        try:
            return cpp.build()
        except RwaeError as error:
            if "no C++ compiler" not in str(error):
                raise
            pytest.skip(str(error))


@pytest.fixture
def built(library, monkeypatch) -> Iterator[Path]:
    """A process that finds the library."""
    monkeypatch.setattr(cpp, "library_file", lambda: library)
    cpp._library.cache_clear()
    yield library
    cpp._library.cache_clear()


@pytest.fixture
def not_built(tmp_path, monkeypatch) -> Iterator[None]:
    """A process that finds none, whatever the user's cache holds."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cpp._library.cache_clear()
    yield
    cpp._library.cache_clear()


@pytest.fixture(params=["torch", "cpp"])
def path(request) -> str:
    """Each path that computes value and gradient together."""
    if request.param == "cpp":
        request.getfixturevalue("built")
    return request.param
