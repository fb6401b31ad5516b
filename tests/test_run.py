"""From Python: train, load, evaluate, resume, begin from other weights; no TOML, no command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import rwae_kit
from rwae_kit import CheckpointError, DataError, RecipeError, Registry, RwaeError, TrainingError
from rwae_kit.checkpoint import weights_digest
from rwae_kit.kernels.mmd import available_paths, choose_path
from rwae_kit.run import choose_device, compose, train
from rwae_kit.run_folder import next_folder, saved_recipe
from rwae_kit.training.progress import Reporter


class Listening(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(f"warning: {text}")


def clips(n: int = 40) -> torch.Tensor:
    return torch.rand(n, 3, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def quiet(tiny: dict[str, Any], data: Any, out: Path, **options: Any) -> rwae_kit.Run:
    return train(tiny, data, out=out, reporter=Reporter(), report=False, **options)


def test_a_tensor_trains_to_a_run_folder_whose_model_loads_and_samples(tiny: dict[str, Any], tmp_path: Path) -> None:
    run = quiet(tiny, clips(), tmp_path / "run")
    assert (run.outcome.stopped, run.outcome.epoch) == ("finished", 2)
    assert {p.name for p in run.folder.iterdir()} >= {
        "recipe.toml",
        "environment.json",
        "metrics.jsonl",
        "model.safetensors",
        "model.json",
        "checkpoints",
    }
    model = rwae_kit.load(run.folder)
    assert model.sample(2, 7).shape == (2, 7, 1, 16, 16)
    assert torch.equal(model.reconstruct(clips(3)), run.model.reconstruct(clips(3)))
    assert json.loads((run.folder / "environment.json").read_text())["rwae_kit"] == rwae_kit.__version__


def test_where_and_by_which_path_of_mmd_it_computes_is_said_and_recorded(tiny: dict[str, Any], tmp_path: Path) -> None:
    listening = Listening()
    folder = train(tiny, clips(), out=tmp_path / "run", device="cpu", reporter=listening, report=False).folder
    path = choose_path("cpu", "float32", available=available_paths())
    assert any(text.startswith("computing on cpu") and text.endswith(f"MMD by path {path}") for text in listening.said)
    assert json.loads((folder / "environment.json").read_text())["mmd"] == path


def test_the_global_random_state_does_not_matter_and_is_left_alone(tiny: dict[str, Any], tmp_path: Path) -> None:
    one = quiet(tiny, clips(), tmp_path / "one").model.state_dict()
    torch.rand(5)
    before = torch.get_rng_state()
    two = quiet(tiny, clips(), tmp_path / "two").model.state_dict()
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tiny: dict[str, Any], tmp_path: Path) -> None:
    whole = quiet(tiny, clips(), tmp_path / "whole", options={"training.epochs": 4})
    quiet(tiny, clips(), tmp_path / "parts", options={"training.epochs": 2})
    listening = Listening()
    parts = train(
        tiny, clips(), out=tmp_path / "parts", resume=True, options={"training.epochs": 4}, reporter=listening, report=False
    )
    assert any("resumed" in text for text in listening.said)
    one, two = whole.model.state_dict(), parts.model.state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_a_run_from_before_a_part_got_an_option_goes_on_with_the_options_default(tiny: dict[str, Any], tmp_path: Path) -> None:
    quiet(tiny, clips(), tmp_path / "run", options={"training.epochs": 2})
    file = tmp_path / "run" / "recipe.toml"
    text = file.read_text(encoding="utf-8")
    assert text.count("\nresidual = false\n") == 1
    file.write_text(text.replace("\nresidual = false\n", "\n"), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"cannot resume: prior.residual was False, is True"):
        quiet(tiny, clips(), tmp_path / "run", resume=True, options={"prior.residual": True, "training.epochs": 3})
    quiet(tiny, clips(), tmp_path / "run", resume=True, options={"training.epochs": 3})
    assert "\nresidual = false\n" in file.read_text(encoding="utf-8")


def test_what_may_not_change_on_resume_is_listed(tiny: dict[str, Any], tmp_path: Path) -> None:
    quiet(tiny, clips(), tmp_path / "run")
    with pytest.raises(RecipeError, match=r"cannot resume: prior.hidden was 8, is 9; training.batch_size was 8, is 4.*--init"):
        quiet(tiny, clips(), tmp_path / "run", resume=True, options={"prior.hidden": 9, "training.batch_size": 4})


def test_a_folder_with_a_run_is_not_trained_over(tiny: dict[str, Any], tmp_path: Path) -> None:
    quiet(tiny, clips(), tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"there is a run already. Resume it"):
        quiet(tiny, clips(), tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"this is no run folder"):
        quiet(tiny, clips(), tmp_path / "nothing", resume=True)


def test_weights_of_another_run_begin_a_new_one(tiny: dict[str, Any], tmp_path: Path) -> None:
    first = quiet(tiny, clips(), tmp_path / "first")
    listening = Listening()
    slow = {f"training.{group}.learning_rate": 1e-12 for group in ("encoder", "decoder", "prior", "critic")}
    second = train(tiny, clips(), out=tmp_path / "second", init=first.folder, options=slow, reporter=listening, report=False)
    assert any("tensors loaded" in text for text in listening.said)
    torch.testing.assert_close(second.model.reconstruct(clips(2)), first.model.reconstruct(clips(2)), rtol=1e-4, atol=1e-5)


def test_a_run_says_which_weights_it_began_from_also_when_it_goes_on(tiny: dict[str, Any], tmp_path: Path) -> None:
    first = quiet(tiny, clips(), tmp_path / "first")
    fresh = json.loads((first.folder / "environment.json").read_text())
    assert not {"init", "init_sha256"} & fresh.keys()
    for more in ({"init": first.folder, "max_minutes": 1e-9}, {"resume": True}):
        second = quiet(tiny, clips(), tmp_path / "second", **more)
        said = json.loads((second.folder / "environment.json").read_text())
        assert (said["init"], said["init_sha256"]) == (str(first.folder), weights_digest(first.folder))
    assert weights_digest(second.folder) not in ("", said["init_sha256"])
    with pytest.raises(CheckpointError, match=r"Is .*nowhere a run folder"):
        weights_digest(tmp_path / "nowhere")


def test_a_prior_fitted_afterwards_leaves_codes_and_decoder_as_they_were(tiny: dict[str, Any], tmp_path: Path) -> None:
    tiny = {**tiny, "penalty": {"dynamic": {"kl": {"weight": 1.0}}}}
    first = quiet(tiny, clips(), tmp_path / "first")
    options = {"training.only": ["prior"], "prior.modes": 3, "training.epochs": 20, "training.prior.learning_rate": 0.01}
    second = quiet(tiny, clips(), tmp_path / "second", init=first.folder, options=options)
    one, two = first.model.state_dict(), second.model.state_dict()
    changed = {key.partition(".")[0] for key in two if key not in one or not torch.equal(one[key], two[key])}
    assert changed == {"prior"}
    options["penalty.static.scaled_mmd.weight"] = 1.0
    with pytest.raises(TrainingError, match="a penalty has a critic"):
        quiet(tiny, clips(), tmp_path / "third", init=first.folder, options=options)
    assert not (tmp_path / "third").exists()
    losses = [json.loads(line) for line in (second.folder / "metrics.jsonl").read_text().splitlines()]
    kl = [line["validation"]["penalty.dynamic.kl"] for line in losses if "validation" in line]
    assert kl[-1] < kl[0]
    assert len({line["validation"]["reconstruction"] for line in losses if "validation" in line}) == 1


def test_time_that_is_up_stops_cleanly_with_a_checkpoint(tiny: dict[str, Any], tmp_path: Path) -> None:
    run = quiet(tiny, clips(), tmp_path / "run", max_minutes=1e-9)
    assert (run.outcome.stopped, run.outcome.step) == ("time", 1)
    assert (run.folder / "model.safetensors").is_file()
    again = quiet(tiny, clips(), tmp_path / "run", resume=True)
    assert again.outcome.stopped == "finished"


def test_labels_that_come_with_the_data_are_probed_by_evaluate(tiny: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    from rwae_kit.data import clips_from

    labels = torch.arange(60) % 2
    x = clips(60) * 0.3 + 0.5 * labels[:, None, None, None, None]
    data = clips_from(x, factors={"bright": labels})
    run = quiet(tiny, data, tmp_path / "run")
    found = rwae_kit.evaluate(run.model, data)
    assert found.untrained is not None
    best = max(s.accuracy for s in found.model.probes if s.factor == "bright" and s.code == "static" and s.probe == "linear")
    assert best > 0.9
    with pytest.raises(DataError, match=r"the clips of the split 'tset' are missing; given: train, validation, test"):
        rwae_kit.evaluate(run.model, data, split="tset")
    with pytest.raises(DataError, match="passed from Python"):
        rwae_kit.evaluate(run.model)


def test_a_model_is_not_judged_on_data_that_changed_since(tiny: dict[str, Any], tmp_path: Path) -> None:
    run = quiet(tiny, clips(), tmp_path / "run")
    run.model.origin["recipe"]["data"] = {"name": "moving_shapes"}
    with pytest.raises(DataError, match=r"moving_shapes: the data are not those that the model was trained on"):
        rwae_kit.evaluate(run.model)


def test_a_validation_split_of_one_clip_is_left_out_and_said(tiny: dict[str, Any], tmp_path: Path) -> None:
    listening = Listening()
    run = train(tiny, clips(11), out=tmp_path / "run", reporter=listening, report=False)
    assert run.outcome.best is None
    assert any("single clip" in text for text in listening.said)


def test_options_go_over_the_recipe_and_later_ones_win() -> None:
    registry = Registry.installed()
    recipe = compose("quickstart", {"latents.static": 5, "training.epochs": 3, "prior": "gru"}, registry)
    assert (recipe.latents.static, recipe.training.epochs, recipe.prior.name) == (5, 3, "gru")
    assert compose(recipe, {}, registry) == recipe
    assert compose(recipe.to_dict(), {}, registry, given=True).data.name == "given"
    with pytest.raises(RecipeError, match=r"training: unknown key 'epoch'. Did you mean 'epochs'\?"):
        compose("quickstart", {"training.epoch": 3}, registry)


def test_the_recipe_of_a_run_is_complete_and_read_back(tiny: dict[str, Any], tmp_path: Path) -> None:
    run = quiet(tiny, clips(), tmp_path / "run")
    recipe = saved_recipe(run.folder)
    assert recipe.encoder.options["log_var"] == -2.0
    assert recipe.to_dict() == run.model.origin["recipe"]


def test_run_folders_are_numbered(tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = compose(tiny, {}, Registry.installed())
    assert next_folder(recipe) == Path("runs/moving_shapes-1")
    (tmp_path / "runs" / "moving_shapes-1").mkdir(parents=True)
    assert next_folder(recipe) == Path("runs/moving_shapes-2")


@pytest.mark.parametrize(("name", "message"), [("gpu", "is no device"), ("xla", "not supported"), ("meta", "not supported")])
def test_a_device_that_is_none_is_refused(name: str, message: str) -> None:
    with pytest.raises(RwaeError, match=message):
        choose_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="about a machine without CUDA")
def test_cuda_without_cuda_is_refused() -> None:
    with pytest.raises(RwaeError, match=r"'cuda:3', but this machine has 0 CUDA devices"):
        choose_device("cuda:3")
    assert choose_device("auto").type in ("cpu", "mps")


def test_on_the_cpu_subnormal_numbers_are_taken_for_zero_by_all_threads_once_it_is_chosen() -> None:
    code = """
import numpy, torch
from rwae_kit.run import choose_device

torch.set_num_threads(2)
small = torch.from_numpy(numpy.full(4_000_000, 1e-39, numpy.float32))
before = (small[:1] * 1).view(torch.int32)
choose_device("cpu")
after = (small * 1).view(torch.int32)
print(int(before.count_nonzero()), int(after.count_nonzero()), torch.set_flush_denormal(True))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    before, after, supported = done.stdout.split()
    assert before == "1"
    assert after == "0" or supported == "False"


def test_given_splits_need_a_train_split(tiny: dict[str, Any], tmp_path: Path) -> None:
    from rwae_kit.data import clips_from

    data = clips_from(clips())
    del data["train"]
    with pytest.raises(RwaeError, match="clips for 'train' are missing"):
        quiet(tiny, data, tmp_path / "run")
