"""A recipe and a registry to a model and an objective, and a saved model back to life: the one room that knows both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from attrs import evolve

from rwae_kit import checkpoint
from rwae_kit.convert import structure, unstructure
from rwae_kit.data import DataInfo
from rwae_kit.errors import CheckpointError, PluginError, RecipeError
from rwae_kit.interfaces import CategoricalDivergence, Divergence, FrameView, SequenceDataset, Spec, share_noise
from rwae_kit.latents import Batch
from rwae_kit.model import SequenceAutoencoder
from rwae_kit.objective import Objective, Penalty, Term
from rwae_kit.recipe import Part, PenaltyEntry, Recipe, TermEntry
from rwae_kit.registry import UNVERSIONED, Registry

GIVEN = "given"
"""The name of data that was passed from Python: no registered data set."""


def resolve(recipe: Recipe, registry: Registry) -> Recipe:
    """The same recipe with every default of every component filled in.

    Raises:
        RecipeError, PluginError: an unknown name, an unknown option, or a wrong value; the message begins with its path.
    """
    given = recipe.data.name == GIVEN
    full: dict[str, Any] = {
        "data": recipe.data if given else _full(registry, "dataset", recipe.data, "data"),
        "encoder": _full(registry, "encoder", recipe.encoder, "encoder", "frame_encoder"),
        "static_prior": _full(registry, "static_prior", recipe.static_prior, "static_prior"),
        "prior": _full(registry, "prior", recipe.prior, "prior"),
        "decoder": _full(registry, "decoder", recipe.decoder, "decoder", "frame_decoder"),
        "reconstruction": _full(registry, "reconstruction", recipe.reconstruction, "reconstruction"),
        "action": recipe.action and _full(registry, "action_encoder", recipe.action, "action"),
    }
    penalties = [evolve(e, part=_full(registry, "divergence", e.part, _place(e))) for e in recipe.penalties]
    terms = [evolve(e, part=_full(registry, "term", e.part, _place(e))) for e in recipe.terms]
    views = [_full(registry, "view", part, f"view.{part.name}") for part in recipe.views]
    return evolve(recipe, penalties=tuple(penalties), terms=tuple(terms), views=tuple(views), **full)


def open_dataset(recipe: Recipe, registry: Registry) -> SequenceDataset:
    """The data set that a recipe names; its clips are made or opened later."""
    dataset: SequenceDataset = _make(registry, "dataset", recipe.data, "data")
    return dataset


def build(recipe: Recipe, registry: Registry, info: DataInfo) -> tuple[SequenceAutoencoder, Objective]:
    """A model with fresh weights, seeded by the recipe, for data of the given form, and its objective.

    The global random state is left as it was.

    Raises:
        RecipeError, PluginError: a part that is unknown or does not fit.
    """
    recipe = resolve(recipe, registry)
    with _seeded(recipe.training.seed):
        model = _model(recipe, registry, info)
        penalties = [_penalty(entry, registry, model.spec) for entry in recipe.penalties]
        objective = Objective(penalties, _terms(recipe, registry, model.spec))
    share_noise(model.noise, objective)
    if model.device.type != "meta":  # where nothing can be computed, such as to count parameters
        _try_out(model, objective, info)
    return model, objective


def save_pretrained(model: SequenceAutoencoder, folder: Path | str) -> None:
    """Write a model's weights (safetensors) and what is needed to build it again (JSON) into a folder.

    Raises:
        CheckpointError: the folder cannot be written, or the model was put together by hand and so has no recipe to be built from.
    """
    if "recipe" not in model.origin:
        raise CheckpointError(f"{folder}: this model was not built from a recipe (rwae_kit.build), so it could not be built again")
    checkpoint.write_model(Path(folder), model.state_dict(), {"origin": model.origin, "info": model.info.to_dict()})


def from_pretrained(folder: Path | str, *, registry: Registry | None = None, device: str = "cpu") -> SequenceAutoencoder:
    """A model that `save_pretrained` or a run wrote, in eval mode.

    Raises:
        CheckpointError: no model there, or a damaged one.
        PluginError: a part's plugin is not installed; says which distribution has it.
    """
    state, meta = checkpoint.read_model(Path(folder))
    try:
        recipe, parts, info = meta["origin"]["recipe"], meta["origin"]["parts"], DataInfo.from_dict(meta["info"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{Path(folder) / 'model.json'}: {error} is missing: not written by this program") from error
    registry = registry or Registry.installed()
    require([part for part in parts if part["kind"] not in ("divergence", "term", "dataset")], registry, str(folder))
    with _seeded(0):
        model = _model(Recipe.from_dict(recipe, f"{folder}/model.json"), registry, info)
    checkpoint.restore(model, state, str(folder))
    model.origin = meta["origin"]  # with the versions that it was trained with
    return model.to(device).eval()


def require(parts: Iterable[Mapping[str, str]], registry: Registry, where: str) -> None:
    """Check that the parts that a saved model names are registered.

    Raises:
        PluginError: one is not; says which distribution, or which file, has it.
    """
    for part in parts:
        if (part["kind"], part["name"]) not in registry.entries:
            its, home, version = (
                f"{where}: its {part['kind'].replace('_', ' ')} {part['name']!r}",
                part["distribution"],
                part["version"],
            )
            if version == UNVERSIONED:
                raise PluginError(f"{its} comes from {home}, which is no installed package: give it again (--plugin FILE)")
            raise PluginError(f"{its} comes from {home} {version}, which is not installed: pip install '{home}=={version}'")


load = from_pretrained
"""A run's model: `from_pretrained` on a run folder."""


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Fresh weights follow from the seed alone, and the global random state is as before afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _model(recipe: Recipe, registry: Registry, info: DataInfo) -> SequenceAutoencoder:
    sizes = recipe.latents
    spec = Spec(
        frame=info.frame,
        value_range=info.value_range,
        static=sizes.static,
        dynamic=sizes.dynamic,
        action=sizes.action,
        action_prior=sizes.action_prior,
    )
    encoder_frames = _make(registry, "frame_encoder", _frames(recipe.encoder), "encoder.frames", spec)
    decoder_frames = _make(registry, "frame_decoder", _frames(recipe.decoder), "decoder.frames", spec)
    action = (
        None if recipe.action is None else _make(registry, "action_encoder", recipe.action, "action", spec, encoder_frames.size)
    )
    model = SequenceAutoencoder(
        spec=spec,
        info=info,
        encoder=_make(registry, "encoder", recipe.encoder, "encoder", spec, encoder_frames),
        action_encoder=action,
        static_prior=_make(registry, "static_prior", recipe.static_prior, "static_prior", spec),
        prior=_make(registry, "prior", recipe.prior, "prior", spec),
        decoder=_make(registry, "decoder", recipe.decoder, "decoder", spec, decoder_frames),
        reconstruction=_make(registry, "reconstruction", recipe.reconstruction, "reconstruction", spec),
        origin={"recipe": recipe.to_dict(), "parts": _whose(recipe, registry)},
        seed=recipe.training.seed,
    )
    if recipe.training.channels_last:  # here, not only in training: a loaded model then gives the trained one's bits
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def build_view(part: Part, info: DataInfo, registry: Registry, where: str) -> FrameView:
    """A view of frames by itself, without a model.

    Raises:
        RwaeError: an unknown name, wrong options, or frames that the view does not take; the message begins with `where`.
    """
    spec = Spec(frame=info.frame, value_range=info.value_range, static=1, dynamic=1)  # a view reads no latents
    view: FrameView = _make(registry, "view", part, where, spec)
    return view


def _try_out(model: SequenceAutoencoder, objective: Objective, info: DataInfo) -> None:
    """Let two clips of noise go through views, posterior, priors and terms, so that these refuse before training begins.

    Of the frames only one a clip is encoded, which is cheap.
    """
    model.eval()
    objective.eval()
    low, high = info.value_range
    with torch.no_grad(), model.noise.fork(0):
        noise = model.noise.uniform(2, info.length, *info.frame, like=next(model.parameters()))
        batch = Batch(x=low + (high - low) * noise, index=torch.arange(2), dataset_size=2)
        features = model.encoder.features(evolve(batch, x=batch.x[:, :1]))
        objective.try_out(model.encoded(batch, features.expand(-1, info.length, -1)))
    model.train()
    objective.train()


def _config(registry: Registry, kind: str, part: Part, where: str) -> tuple[Any, Any]:
    """A component's class and its config from a part's options."""
    cls = registry.get(kind, part.name, where)
    return cls, structure(part.options, cls.Config, where)


def _full(registry: Registry, kind: str, part: Part, where: str, frames: str = "") -> Part:
    """A part with every default filled in; `frames` is the kind of its frame net, if it has one."""
    _, config = _config(registry, kind, part, where)
    inner = _full(registry, frames, part.frames, f"{where}.frames") if part.frames else None
    return evolve(part, options=unstructure(config), frames=inner)


def _make(registry: Registry, kind: str, part: Part, where: str, *rest: Any) -> Any:
    """A component from its part; `rest` is what its interface says it is built from besides its config."""
    cls, config = _config(registry, kind, part, where)
    try:
        return cls(config, *rest)
    except RecipeError as error:
        message = str(error)
        raise RecipeError(message if message.startswith(where) else f"{where} ({part.name}): {message}") from error


def _penalty(entry: PenaltyEntry, registry: Registry, spec: Spec) -> Penalty:
    if entry.latent == "action" and not spec.action:
        raise RecipeError(f"{_place(entry)}: the model has no action latent; give latents.action and an [action] encoder")
    divergence: Divergence | CategoricalDivergence = _make(
        registry, "divergence", entry.part, _place(entry), getattr(spec, entry.latent)
    )
    return Penalty(
        latent=entry.latent,  # type: ignore[arg-type]  # one of the three: the recipe knows no other
        name=entry.part.name,
        divergence=divergence,
        weight=entry.weighing.weight,
        warmup_steps=entry.weighing.warmup_steps,
        conditioning=entry.weighing.conditioning,
    )


def _terms(recipe: Recipe, registry: Registry, spec: Spec) -> list[Term]:
    told = {part.name: part for part in recipe.views}
    terms = [_term(entry, registry, spec, told) for entry in recipe.terms]
    for name in told:
        if not any(name in term.views for term in terms):
            raise RecipeError(f"view.{name}: no term reads this view. Leave it out, or name it in a term")
    return terms


def _term(entry: TermEntry, registry: Registry, spec: Spec, told: Mapping[str, Part]) -> Term:
    if entry.weighing.conditioning != "posterior":
        raise RecipeError(f"{_place(entry)}: conditioning is for penalties on the dynamic latent: leave it out")
    loss = _make(registry, "term", entry.part, _place(entry), spec)
    views = {
        name: _make(registry, "view", told.get(name, Part(name=name)), f"view.{name}" if name in told else _place(entry), spec)
        for name in loss.needs
        if name != "clip"
    }
    return Term(key=entry.key, loss=loss, weight=entry.weighing.weight, warmup_steps=entry.weighing.warmup_steps, views=views)


def _place(entry: PenaltyEntry | TermEntry) -> str:
    return f"term.{entry.key}" if isinstance(entry, TermEntry) else f"penalty.{entry.latent}.{entry.part.name}"


def _frames(part: Part) -> Part:
    assert part.frames is not None  # Recipe.from_dict asks for it
    return part.frames


def _whose(recipe: Recipe, registry: Registry) -> list[dict[str, str]]:
    """The parts that a model is built from, with the distribution and version that each comes from."""
    used = [
        ("encoder", recipe.encoder),
        ("frame_encoder", _frames(recipe.encoder)),
        ("static_prior", recipe.static_prior),
        ("prior", recipe.prior),
        ("decoder", recipe.decoder),
        ("frame_decoder", _frames(recipe.decoder)),
        ("reconstruction", recipe.reconstruction),
        *(("divergence", e.part) for e in recipe.penalties),
        *(("term", e.part) for e in recipe.terms),
        *([("action_encoder", recipe.action)] if recipe.action else []),
        *([("dataset", recipe.data)] if recipe.data.name != GIVEN else []),
    ]
    entries = [registry.entries[kind, part.name] for kind, part in used if (kind, part.name) in registry.entries]
    return [{"kind": e.kind, "name": e.name, "distribution": e.distribution, "version": e.version} for e in entries]
