"""Weights and training states on disk: whole or not at all, checked, and never another model's by accident."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from rwae_kit import checkpoint
from rwae_kit.errors import CheckpointError


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


def tensors(value: float = 1.0) -> dict[str, dict[str, Tensor]]:
    return {
        "model": {"w": torch.full((2, 3), value), "n": torch.tensor(5)},
        "training": {"noise": torch.arange(4, dtype=torch.uint8)},
    }


def save_steps(run: Path, *steps: int) -> None:
    for step in steps:
        checkpoint.save(checkpoint.step_folder(run, step), tensors(step), {"step": step})


def damage_cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def damage_bit(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def damage_missing(folder: Path) -> None:
    (folder / "training.safetensors").unlink()


def damage_manifest(folder: Path) -> None:
    path = folder / "training.json"
    path.write_bytes(path.read_bytes()[:40])


def damage_no_manifest(folder: Path) -> None:
    (folder / "training.json").unlink()


DAMAGES = [damage_cut, damage_bit, damage_missing, damage_manifest, damage_no_manifest]


def test_a_checkpoint_reads_back_bitwise_with_its_meta_data(tmp_path):
    save_steps(tmp_path, 7)
    found, meta = checkpoint.read(checkpoint.step_folder(tmp_path, 7))
    assert meta == {"step": 7}
    for group, expected in tensors(7).items():
        assert found[group].keys() == expected.keys()
        assert all(
            torch.equal(found[group][key], value) and found[group][key].dtype == value.dtype for key, value in expected.items()
        )


def test_a_checkpoint_holds_safetensors_and_json_and_nothing_is_left_beside_it(tmp_path):
    save_steps(tmp_path, 7)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    folder = "checkpoints/step-00000007"
    assert names == [f"{folder}/model.safetensors", f"{folder}/training.json", f"{folder}/training.safetensors"]


def test_tied_and_transposed_tensors_are_stored_by_value(tmp_path):
    base = torch.arange(6.0).reshape(2, 3)
    odd = {
        "a": base,
        "b": base,
        "t": base.t(),
        "row": base[1],
        "last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
    }
    checkpoint.save(tmp_path / "checkpoints" / "step-00000001", {"model": odd}, {})
    found = checkpoint.read(tmp_path / "checkpoints" / "step-00000001")[0]["model"]
    assert all(torch.equal(found[key], value) for key, value in odd.items())


def test_latest_is_the_newest_and_none_without_any(tmp_path):
    assert checkpoint.latest(tmp_path) is None
    save_steps(tmp_path, 3, 20, 100)
    assert checkpoint.latest(tmp_path) == checkpoint.step_folder(tmp_path, 100)


def test_only_the_newest_two_are_kept(tmp_path):
    save_steps(tmp_path, 3, 20, 100)
    checkpoint.prune(tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000020", "step-00000100"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_told_and_the_older_one_is_latest(tmp_path, damage):
    save_steps(tmp_path, 1, 2)
    damage(checkpoint.step_folder(tmp_path, 2))
    with pytest.raises(CheckpointError, match=r"step-00000002.*damaged"):
        checkpoint.read(checkpoint.step_folder(tmp_path, 2))
    warned: list[str] = []
    assert checkpoint.latest(tmp_path, warned.append) == checkpoint.step_folder(tmp_path, 1)
    assert len(warned) == 1
    assert "step-00000002" in warned[0]
    with pytest.warns(RuntimeWarning, match="step-00000002"):
        checkpoint.latest(tmp_path)


def test_if_every_checkpoint_is_damaged_that_is_an_error(tmp_path):
    save_steps(tmp_path, 1, 2)
    for step in (1, 2):
        damage_cut(checkpoint.step_folder(tmp_path, step))
    with pytest.raises(CheckpointError, match="all 2 checkpoints are damaged"):
        checkpoint.latest(tmp_path, lambda _: None)


def test_a_damaged_checkpoint_of_the_same_step_is_replaced(tmp_path):
    save_steps(tmp_path, 1)
    damage_cut(checkpoint.step_folder(tmp_path, 1))
    save_steps(tmp_path, 1)
    assert checkpoint.read(checkpoint.step_folder(tmp_path, 1))[1] == {"step": 1}


def test_a_newer_format_is_refused_with_the_advice_to_update(tmp_path):
    save_steps(tmp_path, 1)
    path = checkpoint.step_folder(tmp_path, 1) / "training.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(CheckpointError, match=r"format 99; this version reads up to 1\. Update"):
        checkpoint.read(path.parent)


def test_what_a_killed_process_left_is_no_checkpoint_and_is_swept_away(tmp_path):
    left = tmp_path / "checkpoints" / ".step-00000009.123.tmp"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    assert checkpoint.latest(tmp_path) is None
    save_steps(tmp_path, 10)
    assert not left.exists()


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_full_disk_leaves_older_checkpoints_and_nothing_half_written(tmp_path, monkeypatch, nth):
    save_steps(tmp_path, 1)
    write, calls = checkpoint._write, []

    def full(path: Path, data: bytes) -> None:
        calls.append(path)
        if len(calls) < nth:
            return write(path, data)
        write(path, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(CheckpointError, match="step-00000002: the checkpoint cannot be written: No space left on device"):
        save_steps(tmp_path, 2)
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
    assert checkpoint.latest(tmp_path) == checkpoint.step_folder(tmp_path, 1)


@pytest.mark.parametrize("nth", [1, 2])
def test_a_full_disk_leaves_the_model_as_it_was(tmp_path, monkeypatch, nth):
    checkpoint.write_model(tmp_path, {"w": torch.zeros(3)}, {"origin": {}})
    write, calls = checkpoint._write, []

    def full(path: Path, data: bytes) -> None:
        calls.append(path)
        if len(calls) < nth:
            return write(path, data)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(CheckpointError, match="the model cannot be written: No space left on device"):
        checkpoint.write_model(tmp_path, {"w": torch.ones(3)}, {"origin": {}})
    monkeypatch.undo()
    assert checkpoint.read_model(tmp_path)[0]["w"].tolist() == [0.0, 0.0, 0.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_a_model_reads_back_with_its_description_and_by_plain_safetensors(tmp_path):
    state = {"w": torch.randn(2, 3), "scalar": torch.tensor(3), "half": torch.randn(2).bfloat16(), "empty": torch.empty(0)}
    checkpoint.write_model(tmp_path, state, {"origin": {"recipe": "r"}, "step": 3})
    found, meta = checkpoint.read_model(tmp_path)
    assert meta == {"format": 1, "origin": {"recipe": "r"}, "step": 3}
    for other in (found, safetensors.torch.load_file(tmp_path / "model.safetensors")):
        assert other.keys() == state.keys()
        assert all(torch.equal(other[key], value) and other[key].dtype == value.dtype for key, value in state.items())


def test_equal_weights_make_equal_files(tmp_path):
    state = {name: torch.ones(2) for name in ("a", "b", "c")}
    files = set()
    for _ in range(8):
        checkpoint.write_model(tmp_path, state, {"origin": {}})
        files.add((tmp_path / "model.safetensors").read_bytes())
    assert len(files) == 1


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_a_missing_model_file_is_told_by_name(tmp_path, name):
    checkpoint.write_model(tmp_path, {"w": torch.zeros(3)}, {})
    (tmp_path / name).unlink()
    with pytest.raises(CheckpointError, match=f"no {name}"):
        checkpoint.read_model(tmp_path)


@pytest.mark.parametrize("damage", [damage_cut, damage_bit])
def test_a_damaged_model_is_told(tmp_path, damage):
    checkpoint.write_model(tmp_path, {"w": torch.arange(30.0)}, {})
    damage(tmp_path)
    with pytest.raises(CheckpointError, match=r"model\.safetensors.*is damaged"):
        checkpoint.read_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("1.weight"), r"here: '1.weight' \(2, 3\) is missing"),
        (lambda state: state.update({"1.weight": torch.zeros(2, 4)}), r"here: '1.weight' is \(2, 4\), the model's is \(2, 3\)"),
        (lambda state: state.update({"2.bias": torch.zeros(2)}), "here: the model has no '2.bias'"),
    ],
)
def test_weights_of_another_model_are_refused_by_the_first_name_and_nothing_is_loaded(change, message):
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    state = {key: value + 1 for key, value in before.items()}
    change(state)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.restore(module, state, "here")
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_weights_restore_into_their_memory_format():
    one, two = (nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last) for _ in range(2))
    checkpoint.restore(two, {key: value.contiguous() for key, value in one.state_dict().items()}, "here")
    assert torch.equal(one.weight, two.weight)
    assert two.weight.is_contiguous(memory_format=torch.channels_last)


def test_init_loads_what_fits_and_counts_the_rest(tmp_path):
    source = {"0.weight": torch.ones(3, 3), "0.bias": torch.ones(3), "1.weight": torch.ones(5, 3), "9.weight": torch.ones(1)}
    checkpoint.write_model(tmp_path, source, {})
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    before = module[1].weight.clone()
    fit = checkpoint.load_weights(module, tmp_path)
    assert fit == checkpoint.Fit(
        loaded=("0.weight", "0.bias"), missing=("1.bias",), unexpected=("9.weight",), reshaped=("1.weight",)
    )
    assert (
        str(fit) == "2 tensors loaded; 1 not in the source (1.bias); 1 not in the model (9.weight); 1 of another shape (1.weight)"
    )
    assert torch.equal(module[0].weight, torch.ones(3, 3))
    assert torch.equal(module[1].weight, before)


def test_init_from_a_run_of_which_nothing_fits_is_an_error(tmp_path):
    checkpoint.write_model(tmp_path, {"other": torch.ones(1)}, {})
    with pytest.raises(CheckpointError, match="nothing fits this model: 0 tensors loaded"):
        checkpoint.load_weights(nn.Linear(2, 2), tmp_path)
