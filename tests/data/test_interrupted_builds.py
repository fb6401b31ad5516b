"""A build that is killed leaves nothing that is taken for a data set, and the next one clears it away."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rwae_kit import DataError, DataInfo
from rwae_kit.data import new_store, open_store, tracked
from rwae_kit.data.progress import listening

INFO = DataInfo(name="toy", frame=(3,), length=2)
SLOW = """
import sys, time
from pathlib import Path
import numpy as np
from rwae_kit import DataInfo
from rwae_kit.data import new_store
info = DataInfo(name="toy", frame=(3,), length=2)
with new_store(Path(sys.argv[1]), info=info, splits={"train": 4}, dtype="uint8", scale=1.0) as store:
    store.put(0, np.zeros((2, 2, 3), np.uint8), {})
    print("writing", flush=True)
    time.sleep(120)
"""


def build(target: Path) -> None:
    with new_store(target, info=INFO, splits={"train": 4}, dtype="uint8", scale=1.0) as store:
        store.put(0, np.zeros((4, 2, 3), np.uint8), {})


@pytest.fixture
def building(tmp_path):
    """A build in another process, half-way through."""
    process = subprocess.Popen([sys.executable, "-c", SLOW, tmp_path / "toy"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.communicate()


def partials(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if ".partial-" in path.name]


def test_a_killed_build_is_no_data_set_and_is_cleared_by_the_next(building, tmp_path):
    building.send_signal(signal.SIGKILL)
    building.wait()
    assert len(partials(tmp_path)) == 1
    with pytest.raises(DataError, match="no data store is there"):
        open_store(tmp_path / "toy")
    build(tmp_path / "toy")
    assert partials(tmp_path) == []
    assert len(open_store(tmp_path / "toy", verify=True).data) == 4


def test_a_build_that_runs_is_left_alone(building, tmp_path):
    build(tmp_path / "toy")
    assert partials(tmp_path) == [f".toy.partial-{socket.gethostname()}-{building.pid}"]
    assert len(open_store(tmp_path / "toy").data) == 4


def test_what_another_machine_builds_and_other_data_sets_are_left_alone(tmp_path):
    others = [".toy.partial-elsewhere-1", f".toys.partial-{socket.gethostname()}-999999999", ".toy.partial-odd"]
    for name in others:
        (tmp_path / name).mkdir()
    build(tmp_path / "toy")
    assert sorted(partials(tmp_path)) == sorted(others)


def test_a_listener_is_told_how_far_work_is_while_it_listens():
    told = []
    with listening(lambda *words: told.append(words)):
        assert list(tracked([7, 8], "reading")) == [7, 8]
    assert list(tracked([9], "reading")) == [9]
    assert told == [("reading", 0, 2), ("reading", 1, 2), ("reading", 2, 2)]
