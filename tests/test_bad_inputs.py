"""What a user can get wrong: each leaves with 2 and says where, what, and what would be right, without a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import rwae_kit
from rwae_kit import Clips, DataInfo
from rwae_kit.cli import main
from rwae_kit.data import write_store

SMALL = {
    "data.train_clips": "16",
    "data.validation_clips": "8",
    "data.test_clips": "8",
    "encoder.frames.channels": "[4]",
    "encoder.frames.strides": "[4]",
    "decoder.frames.channels": "[4]",
    "decoder.frames.strides": "[4]",
    "training.batch_size": "8",
    "training.epochs": "1",
}
TINY = [
    *(word for path, value in SMALL.items() for word in ("--set", f"{path}={value}")),
    "--device",
    "cpu",
    "--no-report",
    "--quiet",
]

STORED = '''
"""A data set in a store that stands beside this file, and a part that only this file has."""

from pathlib import Path

from attrs import frozen

from rwae_kit import Clips, Divergence, SequenceDataset, hookimpl
from rwae_kit.data import open_store

HERE = Path(__file__).parent


class Stored(SequenceDataset):
    """Opens the store."""

    @frozen(kw_only=True)
    class Config:
        """No options."""

    def __init__(self, config):
        self.config = config

    def info(self):
        return open_store(HERE / "store").info

    def clips(self, split):
        return open_store(HERE / "store").clips(split)


class Means(Divergence):
    """Squared distance of the means."""

    @frozen(kw_only=True)
    class Config:
        """No options."""

    def __init__(self, config, d):
        super().__init__(config)

    def forward(self, posterior, prior):
        return (posterior.sample.mean(-2) - prior.sample.mean(-2)).square().sum(-1)


@hookimpl
def rwae_datasets():
    return {"stored": Stored}


@hookimpl
def rwae_divergences():
    return {"means": Means}
'''


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, to be copied and spoilt."""
    folder = tmp_path_factory.mktemp("bad") / "run"
    main(["train", *TINY, "--out", str(folder)])
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A plugin file with a data set of 16 clips in a store beside it."""
    file = tmp_path / "stored.py"
    file.write_text(STORED)
    frames = torch.rand(24, 8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    info = DataInfo(name="stored", frame=(3, 32, 32), length=8)
    splits = {"train": frames[:16], "validation": frames[16:], "test": frames[16:]}
    write_store(tmp_path / "store", {name: Clips(info=info, frames=part) for name, part in splits.items()})
    return file


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Call `rwk`, which has to leave with 2 and one error on stderr, and return the message."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert (leaving.value.code, out) == (2, "")
        assert "Traceback" not in err
        assert any(line.startswith("error: ") for line in err.splitlines())
        return err.rstrip("\n")

    return call


Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recipe", "quickstrat"], "unknown recipe 'quickstrat'. Did you mean 'quickstart'?"),
        (["--data", "moving_shape"], "data: unknown dataset 'moving_shape'. Did you mean 'moving_shapes'?"),
        (["--penalty", "scaled_mdm"], "penalty.static.scaled_mdm: unknown divergence 'scaled_mdm'. Did you mean 'scaled_mmd'?"),
        (["--penalty", "lstm"], "penalty.static.lstm: unknown divergence 'lstm'. It is a"),
        (["--penalty", "dinamic=mmd"], "--penalty dinamic=mmd: unknown latent 'dinamic'. Did you mean 'dynamic'?"),
        (["--prior", "ltsm"], "prior: unknown prior 'ltsm'. Did you mean 'lstm'?"),
        (["--encoder", "autoregresive"], "encoder: unknown encoder 'autoregresive'. Did you mean 'autoregressive'?"),
        (["--decoder", "framewize"], "decoder: unknown decoder 'framewize'. Did you mean 'framewise'?"),
        (["--set", "encoder.frames.name=convv"], "encoder.frames: unknown frame encoder 'convv'. Did you mean 'conv'?"),
        (["--recipe", "mine.toml"], "mine.toml: cannot be read: No such file or directory"),
        (["--plugin", "mine.py"], "--plugin mine.py: no such file"),
        (["--bacth-size", "3"], "train: no such option '--bacth-size'. Did you mean '--training.batch_size'?"),
        (
            ["--penalty.dynamic.mmd.bandwith", "1"],
            "no such option '--penalty.dynamic.mmd.bandwith'. Did you mean '--penalty.dynamic.mmd.bandwidths'?",
        ),
        (
            ["--set", "training.batch_size"],
            "--set training.batch_size: needs a path and a value, such as --set training.batch_size=32",
        ),
        (["--set", "training.batchsize=3"], "training: unknown key 'batchsize'. Did you mean 'batch_size'?"),
        (["--set", "training.critic.lr=3"], "training.critic: unknown key 'lr'."),
        (["--set", "penalty.dynamic.mmd.bandwith=1"], "penalty.dynamic.mmd: unknown key 'bandwith'. Did you mean 'bandwidths'?"),
        (["--set", "penalty.dinamic.mmd.weight=1"], "penalty.dinamic: unknown latent 'dinamic'. Did you mean 'dynamic'?"),
        (["--set", "latents.statik=3"], "latents: unknown key 'statik'. Did you mean 'static'?"),
        (["--epochs", "many"], "training.epochs: needs a whole number, not 'many'"),
        (["--latents.static", "3.5"], "latents.static: needs a whole number, not 3.5"),
        (["--penalty.dynamic.mmd.average", '"false"'], "penalty.dynamic.mmd.average: needs true or false, not 'false'"),
        (["--penalty.dynamic.mmd.bandwidths", "4"], "penalty.dynamic.mmd.bandwidths: needs a list such as [4], not 4"),
        (["--training.only", "prior"], "training.only: needs a list such as [\"prior\"], not 'prior'"),
        (["--penalty.static.scaled_mmd.weight", "-1"], "penalty.static.scaled_mmd.weight: must be >= 0, not -1.0"),
        (["--latents.static", "0"], "latents.static: must be >= 1, not 0"),
        (["--training.batch_size", "1"], "training.batch_size: must be >= 2, not 1"),
        (["--data.length", "0"], "data.length: must be >= 8, not 0"),
        (["--data.pixels", "20"], "data.pixels: must be >= 32, not 20"),
        (["--data.pixels", "36", "--set", "encoder.frames.strides=[8,8]"], "encoder.frames"),
        (["--training.schedule", "jiont"], "training.schedule: 'jiont' is no choice. Did you mean 'joint'?"),
        (["--device", "gpu"], "device: 'gpu' is no device: auto, cpu, cuda, cuda:0 or mps"),
        (["--max-minutes", "0"], "--max-minutes 0: needs a number above 0"),
        (["--out", "/dev/null/run"], "/dev/null/run: cannot be written: Not a directory"),
        (["--resume", "nowhere"], "nowhere: no recipe.toml: this is no run folder"),
        (["quickstart"], "train: unexpected 'quickstart'. A recipe is named with --recipe quickstart"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_a_wrong_word_to_train_is_refused(refused: Refused, words: list[str], message: str) -> None:
    assert message in refused("train", *TINY, *words)


FILE = """
[data]
name = "moving_shapes"
[latents]
static = 16
dynamic = 4
[encoder]
name = "autoregressive"
frames = { name = "conv", features = 128 }
[prior]
name = "lstm"
[decoder]
name = "framewise"
frames = { name = "conv" }
[reconstruction]
name = "squared_error"
[penalty.static.scaled_mmd]
weight = 100.0
[penalty.dynamic.mmd]
weight = 60.0
[term.leak]
name = "no_such_term"
weight = 1.0
[training]
schedule = "joint"
batch_size = 32
channels_last = true
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[latents]", "[latent]", "mine.toml: unknown key 'latent'. Did you mean 'latents'?"),
        ("static = 16", "statik = 16", "latents: unknown key 'statik'. Did you mean 'static'?"),
        ("[prior]", "[prior]\nhiden = 3", "prior: unknown key 'hiden'. Did you mean 'hidden'?"),
        ("features = 128", "feature = 128", "encoder.frames: unknown key 'feature'. Did you mean 'features'?"),
        ("frames = { name", "frame = { name", "encoder: 'frames' is missing"),
        (
            "[penalty.dynamic.mmd]",
            "[penalty.dynamic.mmd]\nbandwith = 1",
            "penalty.dynamic.mmd: unknown key 'bandwith'. Did you mean 'bandwidths'?",
        ),
        ("[penalty.dynamic.mmd]", "[penalty.dinamic.mmd]", "penalty.dinamic: unknown latent 'dinamic'. Did you mean 'dynamic'?"),
        ('schedule = "joint"', 'shedule = "joint"', "training: unknown key 'shedule'. Did you mean 'schedule'?"),
        ("batch_size = 32", 'batch_size = "32"', "training.batch_size: needs a whole number, not '32'"),
        ("static = 16", "static = 1.7", "latents.static: needs a whole number, not 1.7"),
        ("channels_last = true", 'channels_last = "true"', "training.channels_last: needs true or false, not 'true'"),
        ("weight = 100.0", 'weight = "much"', "penalty.static.scaled_mmd.weight: needs a number, not 'much'"),
        ("weight = 100.0", "", "penalty.static.scaled_mmd: 'weight' is missing"),
        ('name = "lstm"', "", "prior: needs a table with a 'name'"),
        ("[reconstruction]", "[reconstruction", "mine.toml: not a TOML file"),
        ("", "", "term.leak: unknown term 'no_such_term'"),
    ],
)
def test_a_wrong_line_in_a_recipe_file_is_refused(refused: Refused, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = FILE if new == old else FILE[: FILE.index("[term")] + FILE[FILE.index("[training") :]
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new), encoding="utf-8")
    assert message in refused("train", "--recipe", "mine.toml")


def test_a_recipe_file_that_is_no_toml_names_its_line(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('title = "x"\n[data]\nname = \n', encoding="utf-8")
    found = refused("train", "--recipe", "mine.toml")
    assert found.startswith("error: mine.toml: not a TOML file:")
    assert "line 3" in found


def test_a_device_that_is_not_there_is_refused(refused: Refused) -> None:
    name = f"cuda:{torch.cuda.device_count()}"
    assert f"device: {name!r}, but this machine has {torch.cuda.device_count()} CUDA devices" in refused("train", "--device", name)


def test_weights_that_are_not_there_leave_no_run_behind(refused: Refused, tmp_path: Path) -> None:
    assert "nowhere: no model.safetensors" in refused("train", *TINY, "--init", "nowhere", "--out", "run")
    assert not (tmp_path / "run").exists()


def test_a_file_in_the_place_of_the_run_folder_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    assert "taken: cannot be written" in refused("train", *TINY, "--out", "taken")


@pytest.mark.parametrize("command", ["eval", "swap", "sample", "traverse", "report"])
def test_a_run_that_is_not_there_is_refused(refused: Refused, command: str) -> None:
    assert "nowhere: no model.safetensors" in refused(command, "nowhere")


def test_resuming_with_another_part_is_refused_and_says_what_may_change(refused: Refused, run: Path) -> None:
    found = refused("train", "--resume", run, "--prior", "gru", "--device", "cpu")
    assert f"{run}: cannot resume: prior.name was 'lstm', is 'gru'" in found
    assert "training.epochs" in found
    assert f"--init {run}" in found


@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors", "training.json"])
def test_resuming_from_nothing_but_a_damaged_checkpoint_is_refused(refused: Refused, run: Path, name: str) -> None:
    for file in run.glob(f"checkpoints/*/{name}"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    found = refused("train", "--resume", run, "--epochs", "2", "--device", "cpu", "--no-report", "--quiet")
    assert name in found
    assert f"{run}/checkpoints: all 1 checkpoints are damaged" in found


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_a_damaged_model_is_refused(refused: Refused, run: Path, name: str) -> None:
    (run / name).write_bytes((run / name).read_bytes()[:100])
    assert f"error: {run / name}: " in refused("sample", run)


def test_a_model_whose_weights_were_changed_is_refused(refused: Refused, run: Path) -> None:
    file = run / "model.safetensors"
    spoilt = bytearray(file.read_bytes())
    spoilt[-1] ^= 1
    file.write_bytes(spoilt)
    assert f"error: {file}: " in refused("sample", run)


def test_a_run_whose_plugin_is_not_installed_says_what_to_install(refused: Refused, run: Path) -> None:
    meta = json.loads((run / "model.json").read_text())
    for part in meta["origin"]["parts"]:
        if part["kind"] == "prior":
            part |= {"name": "wavelet", "distribution": "rwae-wavelet", "version": "2.1"}
    meta["origin"]["recipe"]["prior"] = {"name": "wavelet"}
    (run / "model.json").write_text(json.dumps(meta))
    found = refused("sample", run)
    assert "prior 'wavelet' comes from rwae-wavelet 2.1, which is not installed: pip install 'rwae-wavelet==2.1'" in found


def test_a_run_with_a_plugin_file_needs_it_again(refused: Refused, plugin: Path, tmp_path: Path) -> None:
    main(["train", *TINY[6:], "--data", "stored", "--penalty", "means", "--plugin", str(plugin), "--out", str(tmp_path / "own")])
    missing = f"stored: its dataset 'stored' comes from {plugin}, which is no installed package: give it again (--plugin FILE)"
    assert missing in refused("swap", tmp_path / "own")
    main(["swap", str(tmp_path / "own"), "--plugin", str(plugin)])
    main(["sample", str(tmp_path / "own")])  # neither the data nor the penalty are needed to draw


def test_a_store_with_a_truncated_file_is_refused(refused: Refused, plugin: Path, tmp_path: Path) -> None:
    data = tmp_path / "store" / "data.npy"
    data.write_bytes(data.read_bytes()[:-1000])
    found = refused("train", *TINY[6:], "--data", "stored", "--plugin", plugin)
    assert f"{data}: " in found
    assert "damaged: build the data set again" in found


def test_values_that_are_no_numbers_are_refused_and_located(refused: Refused, plugin: Path, tmp_path: Path) -> None:
    data = np.load(tmp_path / "store" / "data.npy", mmap_mode="r+")
    data[5, 2, 0, 3, 4] = np.nan
    data.flush()
    found = refused("train", *TINY[6:], "--data", "stored", "--plugin", plugin)
    assert "stored, split 'train': clip 5, frame 2, at (0, 3, 4) is nan. All values must be finite" in found
    assert not (tmp_path / "runs").exists()


def test_a_tensor_with_a_value_that_is_no_number_is_refused(tmp_path: Path) -> None:
    clips = torch.rand(24, 4, 3, 16, 16)
    clips[5, 2] = torch.nan
    with pytest.raises(rwae_kit.DataError, match="finite"):
        rwae_kit.train(data=clips, out=tmp_path / "run", device="cpu")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--prior", "ltsm"], "error: prior: unknown prior 'ltsm'. Did you mean 'lstm'?\n"),
        (["evla", "run"], "error: No such command 'evla'. Did you mean 'eval'?\n"),
        (["swap", "nowhere"], "error: nowhere: no model.safetensors."),
    ],
)
def test_the_program_itself_leaves_with_2_and_no_traceback(words: list[str], message: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "rwae_kit", *words], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr
