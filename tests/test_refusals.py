"""Combinations that make no sense are refused before training begins: where, why, and what would be right."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toys import Normal, Plain, Walk

from rwae_kit import DataInfo, LatentTerm, Registry, RwaeError, hookimpl
from rwae_kit.build import build
from rwae_kit.cli import main
from rwae_kit.latents import Latent
from rwae_kit.recipe import Recipe, merge
from rwae_kit.run import train
from rwae_kit.training.progress import Reporter

REGISTRY = Registry.installed()
MLP = {"name": "mlp", "hidden": [8], "features": 8}
VECTORS = {"encoder.frames": MLP, "decoder.frames": MLP}
TERM = ["--set", "term.i.name=info_nce", "--set", "term.i.weight=1"]
ACTION = {"latents.action": 3, "action": "lstm"}


def term(name: str = "info_nce", **options: Any) -> dict[str, Any]:
    return {"term.extra": {"name": name, "weight": 1.0, **options}}


def refusal(tiny: dict[str, Any], changes: dict[str, Any], registry: Registry = REGISTRY, **info: Any) -> str:
    values = tiny
    for path, value in changes.items():
        values = merge(values, path, value)
    with pytest.raises(RwaeError) as refused:
        build(Recipe.from_dict(values), registry, DataInfo(**{"name": "toy", "frame": (3, 16, 16), "length": 4, **info}))
    return str(refused.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"penalty.dynamic.kl.conditioning": "ancestral"},
            "penalty.dynamic.kl: ancestral draws have no density and no partner",
        ),
        (
            {"penalty.static.scaled_mmd.conditioning": "ancestral"},
            "penalty.static.scaled_mmd: conditioning is for the dynamic",
        ),
        (
            {**ACTION, "penalty.action.categorical_kl": {"weight": 1.0, "conditioning": "ancestral"}},
            "penalty.action.categorical_kl: conditioning is for the dynamic latent only: leave it out",
        ),
        (term(conditioning="ancestral"), "term.extra: conditioning is for penalties on the dynamic latent: leave it out"),
        ({"penalty.action.categorical_kl": {"weight": 1.0}}, "penalty.action.categorical_kl: the model has no action latent; give"),
        ({"penalty.action.mmd": {"weight": 1.0}}, "penalty.action.mmd: the model has no action latent; give latents.action"),
        ({**ACTION, "penalty.action.mmd": {"weight": 1.0}}, "penalty.action.mmd: the action latent is categorical; 'mmd' compares"),
        ({"penalty.static.categorical_kl": {"weight": 1.0}}, "penalty.static.categorical_kl: the static latent is continuous;"),
        ({"penalty.dynamic.categorical_kl": {"weight": 1.0}}, "penalty.dynamic.categorical_kl: the dynamic latent is continuous;"),
        ({"latents.action": 3}, "latents.action is 3: an action latent needs both its size and an [action] encoder"),
        ({"action": "lstm"}, "latents.action is 0: an action latent needs both its size and an [action] encoder"),
        ({**ACTION, "latents.action": 1}, "latents: 'action' is 1: a single action says nothing. Take 2 or more"),
        (
            term(of="dynamic", view="shuffle"),
            "term.extra: needs a view that keeps the dynamic latent; 'shuffle' changes it, and keeps the static one",
        ),
        (term(of="static", view="augment"), "term.extra: needs a view that keeps the static latent; 'augment' changes it"),
        (term(of="action"), "term.extra.of: 'action' is no choice. Known: dynamic, static."),
        (term(view="shufle"), "term.extra: unknown view 'shufle'. Did you mean 'shuffle'?"),
        (term(view="clip"), "term.extra (info_nce): view: 'clip' is the clip itself"),
        (term("weighted_sampling", of=["statik"]), "term.extra.of: 'statik' is no choice. Did you mean 'static'?"),
        (
            term("weighted_sampling", of=["static"], per_frame=True),
            "term.extra (weighted_sampling): per_frame: the static latent",
        ),
        ({"view.blur": {}}, "view.blur: no term reads this view"),
        ({"encoder.frames": {"name": "resblock"}}, "encoder.frames (resblock): frame encoder 'resblock': frames are (3, 16, 16)"),
        (
            {"prior": {"name": "transformer", "width": 10, "heads": 4}},
            "prior: 'width' = 10 must be even and a multiple of",
        ),
        ({"encoder.name": "lstm"}, "encoder: unknown encoder 'lstm'. It is an action encoder."),
    ],
)
def test_parts_that_do_not_go_together_are_refused_with_their_place(
    tiny: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    assert refusal(tiny, changes).startswith(message)


@pytest.mark.parametrize(
    ("changes", "info", "message"),
    [
        ({}, {"frame": (12,)}, "encoder.frames (conv): frame encoder 'conv': frames are (12,), not images"),
        ({"encoder.frames": MLP}, {"frame": (12,)}, "decoder.frames (conv): frame decoder 'conv': frames are (12,), not images"),
        ({**VECTORS, **term(of="dynamic")}, {"frame": (12,)}, "term.extra (augment): frames are vectors (12,); this view is for"),
        ({}, {"value_range": (-1.0, 1.0)}, "reconstruction 'squared_error': link 'sigmoid' needs data in [0, 1], and its values"),
        ({"reconstruction": "bernoulli"}, {"value_range": (-1.0, 1.0)}, "reconstruction 'bernoulli' needs data in [0, 1]"),
        (
            term(),
            {"length": 1},
            "term.extra: the view 'shuffle' reorders the frames of a clip, and clips have one",
        ),
    ],
)
def test_parts_that_do_not_fit_the_data_are_refused_with_their_place(
    tiny: dict[str, Any], changes: dict[str, Any], info: dict[str, Any], message: str
) -> None:
    assert refusal(tiny, changes, **info).startswith(message)


class ImplicitStatic(Normal):
    def forward(self, batch: Any) -> Latent:
        return Latent(sample=super().forward(batch).sample)


class ImplicitDynamic(Walk):
    def forward(self, z: Tensor) -> Latent:
        return Latent(sample=super().forward(z).sample)


class Picky(Plain, LatentTerm):
    def forward(self, views: Any) -> Tensor:
        raise RwaeError("it does not like these latents. Take others")


def strange() -> Registry:
    module = types.ModuleType("strange")
    hooks = {
        "rwae_static_priors": {"implicit": ImplicitStatic},
        "rwae_priors": {"implicit": ImplicitDynamic},
        "rwae_terms": {"picky": Picky},
    }
    for hook, parts in hooks.items():
        setattr(module, hook, hookimpl(specname=hook)(lambda parts=parts: parts))
    return REGISTRY.with_plugin(module, name="strange")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"static_prior": "implicit", "penalty.static.kl": {"weight": 1.0}},
            "penalty.static.kl: kl reads densities, and this prior of the static latent has none (no mean, no log_var). Take a",
        ),
        ({"prior": "implicit"}, "penalty.dynamic.kl: kl reads densities, and this prior of the dynamic latent has none"),
        (term("picky"), "term.extra: it does not like these latents. Take others"),
    ],
)
def test_a_strangers_part_without_a_density_is_refused_where_one_is_read(
    tiny: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    assert refusal(tiny, changes, strange()).startswith(message)


def test_draws_without_a_density_serve_a_divergence_that_compares_draws(tiny: dict[str, Any]) -> None:
    values = {**tiny, "prior": "implicit", "static_prior": "implicit", "penalty": {"dynamic": {"mmd": {"weight": 1.0}}}}
    model, _ = build(Recipe.from_dict(values), strange(), DataInfo(name="toy", frame=(3, 16, 16), length=4))
    assert model.sample(2, 9).shape == (2, 9, 3, 16, 16)


def test_trying_out_leaves_mode_and_noise_as_they_were(tiny: dict[str, Any]) -> None:
    model, objective = build(Recipe.from_dict({**tiny, **{"term": {"t": {"name": "info_nce", "weight": 1.0}}}}), REGISTRY, INFO)
    assert all(module.training for module in (*model.modules(), *objective.modules()))
    assert torch.equal(model.noise.state(), torch.Generator().manual_seed(0).get_state())
    assert objective.terms[0].loss.estimates == {}


INFO = DataInfo(name="toy", frame=(3, 16, 16), length=4)


def test_too_few_clips_are_refused_before_the_run_folder_is_made(tiny: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RwaeError, match=r"training.batch_size is 8, but there are 2 clips: at most 2 is possible"):
        train(tiny, torch.rand(4, 4, 3, 16, 16), out=tmp_path / "run", device="cpu", reporter=Reporter(), report=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--penalty", "action=categorical_kl"], "penalty.action.categorical_kl: "),
        (["--penalty", "dynamic=categorical_kl"], "penalty.dynamic.categorical_kl: the dynamic latent is continuous"),
        (["--set", "penalty.dynamic.kl.conditioning=ancestral"], "penalty.dynamic.kl: ancestral draws have no density"),
        (["--set", "encoder.frames.name=resblock", "--data.pixels", "40"], "encoder.frames (resblock): "),
        (
            [*TERM, "--set", "term.i.of=dynamic", "--set", "term.i.view=reverse"],
            "term.i: needs a view that keeps the dynamic latent; 'reverse' changes it",
        ),
    ],
)
def test_the_command_line_refuses_before_it_trains(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["train", *words, "--dry-run"])
    out, err = capsys.readouterr()
    assert (leaving.value.code, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert "Traceback" not in err


SMALL = ["--set", "data.train_clips=8", "--set", "data.validation_clips=4", "--set", "data.test_clips=4", "--device", "cpu"]
SHORT = ["--set", "training.batch_size=4", "--epochs", "1", "--no-report", "--quiet"]
COMPOSED = [
    ["--encoder", "full", "--prior", "transformer", "--decoder", "lstm", "--penalty", "js_gan"],
    ["--encoder", "factorised", "--prior", "linear", "--penalty", "none", "--penalty", "dynamic=kl"],
    ["--encoder", "cdsvae", "--encoder.form", "code", "--prior", "gru", "--set", "decoder.frames.name=mlp"],
    ["--latents.action", "3", "--set", "action.name=lstm", "--penalty", "action=categorical_kl"],
    [*TERM, "--set", "term.i.view=reverse", "--reconstruction.name", "bernoulli"],
    ["--encoder", "bidirectional", "--prior", "standard_normal", "--penalty", "dynamic=scaled_mmd", "--penalty", "static=mmd"],
]


@pytest.mark.parametrize("words", COMPOSED, ids=" ".join)
def test_parts_compose_from_the_command_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    extra = ["--set", "penalty.action.categorical_kl.weight=1"] if "action=categorical_kl" in words else []
    main(["train", *SMALL, *words, *extra, "--dry-run"])
    assert "parameters" in capsys.readouterr().out


def test_the_program_itself_trains_what_was_composed(tmp_path: Path) -> None:
    words = [*SMALL, *SHORT, *COMPOSED[0], "--out", "run"]
    done = subprocess.run([sys.executable, "-m", "rwae_kit", "train", *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model.safetensors").is_file()
