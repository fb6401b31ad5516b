"""Checkpoints of C-DSVAE's published code, against a plain implementation of its architecture with random weights."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import plain_cdsvae
import pytest
import torch
from torch import Tensor, nn

from rwae_kit import CheckpointError, DataInfo, Registry, SequenceAutoencoder, from_pretrained, save_pretrained
from rwae_kit.build import build
from rwae_kit.interop import load_cdsvae, save_cdsvae
from rwae_kit.run import compose

REGISTRY = Registry.installed()
CLOSE = {"rtol": 0.0, "atol": 1e-5}
"""Two orders of the same sums in float32."""


def stirred(model: nn.Module, seed: int = 0) -> Any:
    """The model in eval mode with random weights that matter, and running statistics as after some training."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.3, generator=generator)
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.3, 2, generator=generator)
                module.num_batches_tracked.fill_(71)
    return model.eval()


@pytest.fixture(scope="module")
def plain() -> Any:
    torch.manual_seed(0)
    return stirred(plain_cdsvae.PlainCdsvae())


@pytest.fixture(scope="module")
def small() -> Any:
    """Of smaller latents and states: the frame nets are as large as ever."""
    torch.manual_seed(1)
    return stirred(plain_cdsvae.PlainCdsvae(static=5, dynamic=3, features=7, hidden=6))


@pytest.fixture(scope="module")
def file(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("official") / "model9.pth"
    optimizer = torch.optim.Adam(small.parameters())
    torch.save({"model": small.state_dict(), "optimizer": optimizer.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def loaded(file: Path) -> SequenceAutoencoder:
    return load_cdsvae(file)


def agrees(model: SequenceAutoencoder, plain: Any, t: int) -> None:
    x = torch.rand(3, t, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = plain(x)
        codes = model.encode(x)
        given = torch.randn(3, t, model.spec.dynamic, generator=torch.Generator().manual_seed(3))
        prior, told = model.prior(given), plain.prior(given)
    pairs: list[tuple[Tensor | None, Tensor]] = [
        (codes.static.mean, expected.static_mean),
        (codes.static.log_var, expected.static_log_var),
        (codes.dynamic.mean, expected.dynamic_mean),
        (codes.dynamic.log_var, expected.dynamic_log_var),
        (prior.mean, told[0]),
        (prior.log_var, told[1]),
        (model.reconstruct(x), expected.frames),
    ]
    for found, wanted in pairs:
        assert wanted.std() > 1e-3  # else they would agree whatever the model
        torch.testing.assert_close(found, wanted, **CLOSE)


def test_a_loaded_checkpoint_encodes_predicts_and_reconstructs_as_their_code_does(plain: Any, tmp_path: Path) -> None:
    torch.save({"model": plain.state_dict()}, tmp_path / "model100.pth")
    model = load_cdsvae(tmp_path / "model100.pth")
    assert not model.training
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in plain.parameters()) == 11_031_683
    agrees(model, plain, 8)


def test_sizes_are_those_of_the_checkpoint_and_clips_of_any_length_agree(loaded: SequenceAutoencoder, small: Any) -> None:
    assert (loaded.spec.static, loaded.spec.dynamic) == (5, 3)
    agrees(loaded, small, 8)
    agrees(loaded, small, 3)


def test_saved_back_their_model_takes_it_and_every_bit_is_the_same(loaded: SequenceAutoencoder, small: Any, tmp_path: Path) -> None:
    save_cdsvae(loaded, tmp_path / "back.pth")
    saved = torch.load(tmp_path / "back.pth", weights_only=True)
    again = plain_cdsvae.PlainCdsvae(static=5, dynamic=3, features=7, hidden=6)
    again.load_state_dict(saved["model"], strict=True)
    for key, value in small.state_dict().items():
        assert torch.equal(saved["model"][key], value), key
    reloaded = load_cdsvae(tmp_path / "back.pth")
    for key, value in loaded.state_dict().items():
        assert torch.equal(reloaded.state_dict()[key], value), key


def test_a_model_that_was_trained_here_is_read_by_their_code(tmp_path: Path) -> None:
    options = {"latents.static": 5, "latents.dynamic": 3, "encoder.hidden": 6, "encoder.frames.features": 7, "prior.hidden": 6}
    recipe = compose("cdsvae-official", {**options, "prior.log_var": -1.0, "decoder.frames.output_bias": -3.0}, REGISTRY)
    model = stirred(build(recipe, REGISTRY, DataInfo(name="sprites", frame=(3, 64, 64), length=8))[0])
    save_cdsvae(model, tmp_path / "ours.pth")
    plain = plain_cdsvae.PlainCdsvae(static=5, dynamic=3, features=7, hidden=6).eval()
    plain.load_state_dict(torch.load(tmp_path / "ours.pth", weights_only=True)["model"], strict=True)
    x = torch.rand(2, 8, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.reconstruct(x), plain(x).frames, **CLOSE)


def test_bare_weights_weights_under_state_dict_and_of_several_gpus_are_read_too(file: Path, small: Any, tmp_path: Path) -> None:
    state = small.state_dict()
    for number, saved in enumerate((state, {"state_dict": state}, {"model": {f"module.{k}": v for k, v in state.items()}})):
        torch.save(saved, tmp_path / f"{number}.pth")
        found = load_cdsvae(tmp_path / f"{number}.pth").state_dict()
        assert all(torch.equal(value, found[key]) for key, value in load_cdsvae(file).state_dict().items())


def test_a_loaded_model_samples_and_is_kept_as_a_model_folder(loaded: SequenceAutoencoder, tmp_path: Path) -> None:
    assert loaded.sample(2, 5).shape == (2, 5, 3, 64, 64)
    save_pretrained(loaded, tmp_path / "model")
    kept = from_pretrained(tmp_path / "model")
    assert torch.equal(kept.sample(2, 5, seed=3), loaded.sample(2, 5, seed=3))


def changed(state: dict[str, Tensor], **changes: Tensor | None) -> dict[str, Tensor]:
    merged = {**state, **{key.replace("__", "."): value for key, value in changes.items()}}
    return {key: value for key, value in merged.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"z_rnn__bias_hh_l0": None}, r"bad\.pth: 'z_rnn\.bias_hh_l0' \(6,\) is missing"),
        ({"f_mean__model__0__bias": None}, r"no 'f_mean\.model\.0\.bias' of 1 dimensions. Is it a checkpoint of C-DSVAE"),
        ({"decoder__upc5__0__bias": torch.zeros(1)}, r"'decoder\.upc5\.0\.bias' is \(1,\); C-DSVAE's code has \(3,\)"),
        ({"z_mean__weight": torch.zeros(4, 6)}, r"'z_mean\.bias' is \(3,\); .* \(4,\)|'z_prior.* is .*|'decoder\.upc1.* is .*"),
        ({"z_mean__weight": torch.zeros(18)}, r"no 'z_mean\.weight' of 2 dimensions"),
        ({"extra__weight": torch.zeros(2)}, r"C-DSVAE's code has no 'extra\.weight' \(1 such names\)"),
    ],
    ids=["missing", "no size", "another shape", "sizes that do not fit", "dimensions", "unknown"],
)
def test_weights_that_do_not_fit_are_named_as_their_code_names_them(small: Any, changes: Any, words: str, tmp_path: Path) -> None:
    torch.save({"model": changed(small.state_dict(), **changes)}, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError, match=words):
        load_cdsvae(tmp_path / "bad.pth")


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pickled_module_is_refused_unread_and_the_way_out_is_told(small: Any, wrapped: bool, tmp_path: Path) -> None:
    torch.save({"model": small} if wrapped else small, tmp_path / "module.pth")
    with pytest.raises(CheckpointError, match=r"pickled object \(.*plain_cdsvae.*, not weights alone.*torch\.save\(\{'model': "):
        load_cdsvae(tmp_path / "module.pth")


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth: no such file"):
        load_cdsvae(tmp_path / "none.pth")
    (tmp_path / "words.pth").write_text("not a checkpoint")
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as archive:
        archive.writestr("readme", "not one either")
    for name in ("words.pth", "zip.pth"):
        with pytest.raises(CheckpointError, match=r"not a checkpoint of torch\.save"):
            load_cdsvae(tmp_path / name)
    for values in ([1, 2], {"model": {}}, {"epoch": 3}):
        torch.save(values, tmp_path / "other.pth")
        with pytest.raises(CheckpointError, match=r"holds no weights, nor any under 'model' or 'state_dict'"):
            load_cdsvae(tmp_path / "other.pth")


def test_a_truncated_checkpoint_is_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "short.pth").write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"not a checkpoint of torch\.save"):
        load_cdsvae(tmp_path / "short.pth")


def test_data_of_another_form_are_refused(file: Path) -> None:
    with pytest.raises(CheckpointError, match=r"for frames \(3, 64, 64\); those of mine are \(3, 32, 32\)"):
        load_cdsvae(file, info=DataInfo(name="mine", frame=(3, 32, 32), length=8))


@pytest.mark.parametrize(
    ("recipe", "options", "pixels", "words"),
    [
        ("cdsvae", {}, 64, "encoder.form was 'code', is 'paper'"),
        ("cdsvae-official", {"prior.bounded": True}, 64, "prior.bounded was False, is True"),
        ("cdsvae-official", {"prior.hidden": 64}, 64, "prior.hidden was 256, is 64"),
        ("cdsvae-official", {"encoder.frames.channels": [8, 8]}, 64, r"encoder.frames.channels was \[64, 128, 256, 512\]"),
        ("cdsvae-official", {}, 32, r"of frames \(3, 64, 64\); this one's are \(3, 32, 32\)"),
        ("quickstart", {}, 64, "encoder.name was 'cdsvae', is 'autoregressive'"),
    ],
    ids=["paper", "bounded", "sizes", "channels", "pixels", "quickstart"],
)
def test_a_model_of_another_architecture_is_not_saved(
    recipe: str, options: dict[str, Any], pixels: int, words: str, tmp_path: Path
) -> None:
    with torch.device("meta"):
        plan = compose(recipe, options, REGISTRY)
        model, _ = build(plan, REGISTRY, DataInfo(name="sprites", frame=(3, pixels, pixels), length=8))
    with pytest.raises(CheckpointError, match=f"only a model of the recipe 'cdsvae-official' .*{words}"):
        save_cdsvae(model, tmp_path / "no.pth")
    assert not (tmp_path / "no.pth").exists()


def test_a_folder_that_is_not_there_is_told(loaded: SequenceAutoencoder, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.pth: cannot be written"):
        save_cdsvae(loaded, tmp_path / "nowhere" / "model.pth")
