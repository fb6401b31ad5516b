"""Recipes dealt from what is registered: each part, and each of its options that is a choice, comes before any comes again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from functools import cache
from itertools import product
from typing import Any, Literal, get_args, get_origin

from attrs import field, frozen

from rwae_kit import DataInfo, RecipeError, Spec
from rwae_kit.convert import options_of, structure, unstructure
from rwae_kit.interfaces import CategoricalDivergence, Divergence
from rwae_kit.registry import Registry
from rwae_kit.training.config import TrainingConfig

REGISTRY = Registry.installed()
SMALL: Mapping[str, int] = {
    **dict.fromkeys(("hidden", "static_hidden", "base", "channels", "blocks"), 4),
    **dict.fromkeys(("width", "features"), 12),
    "heads": 2,
}
"""Sizes of nets by the names of their options; a list of sizes gets two of them."""
FRAMES = ((3, 16, 16), (100,), (3, 64, 64))
"""From cheap to dear: a pair of frame nets gets the first that both take."""
RANGES = ((0.0, 1.0), (-1.0, 1.0))
ALONE = ("compile", "only")
"""Options of the training that have tests of their own: one takes minutes, one does not go with every objective."""
STATIC, DYNAMIC, ACTIONS = 3, 2, 3


@frozen
class Combination:
    """A recipe and the form of its data."""

    name: str
    values: Mapping[str, Any]
    info: DataInfo
    padded: bool
    used: frozenset[tuple[str, ...]] = field(repr=False)
    """What the deal has to cover: ("prior", "lstm"), ("conv", "normalisation", "batch"), ("pair", "full", "gru")."""


class Dealer:
    """Hands out items in a shuffled order, all of them before any a second time; the same seed deals the same."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.decks: dict[Hashable, list[Any]] = {}

    def deal(self, about: Hashable, items: Iterable[Any]) -> Any:
        deck = self.decks.setdefault(about, [])
        if not deck:
            deck.extend(items)
            self.random.shuffle(deck)
        return deck.pop()

    def options(self, about: Hashable, cls: type) -> dict[str, Any]:
        """Small sizes, and one of the choices where an option is a choice."""
        found = {}
        for option in options_of(cls):
            if options := choices(option.type):
                found[option.path] = self.deal((about, option.path), options)
            elif option.path in SMALL and option.type in (int, tuple[int, ...]):
                size = SMALL[option.path]
                found[option.path] = size if option.type is int else [size, size]
        return found

    def part(self, kind: str, name: str, *rest: Any) -> dict[str, Any]:
        """Options that the part itself does not refuse; `rest` is what it is built from besides its config."""
        cls, refused = REGISTRY.get(kind, name), list[dict[str, Any]]()
        for _ in range(50):
            found = self.options((kind, name), cls.Config)
            if builds(cls, found, *rest):
                for path, choice in ((path, choice) for options in refused for path, choice in options.items()):
                    self.decks.get(((kind, name), path), []).append(choice)  # to come up first where it may fit
                return {"name": name, **nested(found)}
            refused.append(found)
        raise AssertionError(f"{kind} {name}: no options that it takes, such as {found}")


def choices(kind: Any) -> list[Any]:
    """Every value of an option that is a choice; of a list of choices each alone, and all."""
    if kind is bool:
        return [False, True]
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if get_origin(kind) is tuple and get_origin(get_args(kind)[0]) is Literal:
        words = get_args(get_args(kind)[0])
        return [[word] for word in words] + [list(words)]
    return []


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted paths as tables."""
    found: dict[str, Any] = {}
    for path, value in options.items():
        *tables, key = path.split(".")
        table = found
        for name in tables:
            table = table.setdefault(name, {})
        table[key] = value
    return found


def builds(cls: Any, options: Mapping[str, Any], *rest: Any) -> bool:
    """Whether a part takes these options and what else it is built from."""
    try:
        cls(structure(nested(options), cls.Config, ""), *rest)
    except RecipeError:
        return False
    return True


def spec_of(frame: tuple[int, ...], value_range: tuple[float, float] = RANGES[0], action: int = 0) -> Spec:
    return Spec(frame=frame, value_range=value_range, static=STATIC, dynamic=DYNAMIC, action=action)


@cache
def takes(kind: str, name: str, frame: tuple[int, ...]) -> bool:
    """Whether a frame net or a view is for such frames, with some options."""
    dealer, cls = Dealer(0), REGISTRY.get(kind, name)
    specs = [spec_of(frame, value_range) for value_range in RANGES]
    return any(builds(cls, dealer.options("", cls.Config), spec) for _ in range(20) for spec in specs)


def frame_pairs() -> list[tuple[tuple[int, ...], str, str]]:
    """Every frame encoder with every frame decoder, on the first frames that both take, and those for vectors on vectors too."""
    pairs = list(product(REGISTRY.names("frame_encoder"), REGISTRY.names("frame_decoder")))
    both = [(f, e, d) for e, d in pairs for f in FRAMES if takes("frame_encoder", e, f) and takes("frame_decoder", d, f)]
    return [at for at in both if len(at[0]) == 1 or at[0] == next(f for f, e, d in both if (e, d) == at[1:])]


def divergences(categorical: bool) -> list[str]:
    base = CategoricalDivergence if categorical else Divergence
    return [name for name in REGISTRY.names("divergence") if issubclass(REGISTRY.get("divergence", name), base)]


def views(latent: str, frame: tuple[int, ...]) -> list[str]:
    """Names of the views that keep a latent of such frames."""
    fitting = [name for name in REGISTRY.names("view") if takes("view", name, frame)]
    return [name for name in fitting if latent in REGISTRY.get("view", name).keeps]


def walk(least: int, most: int, seed: int = 0) -> list[Combination]:
    """Combinations, each with another deal of everything, until all is covered; `least` to `most` of them."""
    dealer, dealt, wanted = Dealer(seed), list[Combination](), to_cover()
    while len(dealt) < least or (len(dealt) < most and missing(dealt, wanted)):
        dealt.append(_combination(len(dealt), dealer))
    return dealt


def missing(dealt: Iterable[Combination], wanted: Mapping[tuple[str, ...], int]) -> dict[tuple[str, ...], int]:
    """What was dealt less often than it has to be, and how often it was."""
    met = Counter(thing for combination in dealt for thing in combination.used)
    return {thing: met[thing] for thing, least in wanted.items() if met[thing] < least}


def _combination(i: int, dealer: Dealer) -> Combination:
    encoder, prior = dealer.deal("pair", product(REGISTRY.names("encoder"), REGISTRY.names("prior")))
    form = dealer.deal("form", (1, 3, 3))
    frame, frame_encoder, frame_decoder = dealer.deal(("frames", form), (at for at in frame_pairs() if len(at[0]) == form))
    static_prior, decoder = (dealer.deal(kind, REGISTRY.names(kind)) for kind in ("static_prior", "decoder"))
    reconstruction = dealer.deal(("reconstruction", form), REGISTRY.names("reconstruction"))
    action = dealer.deal("action", ["", *REGISTRY.names("action_encoder")])
    spec = spec_of(frame)
    cost = dealer.options(("reconstruction", reconstruction, form), REGISTRY.get("reconstruction", reconstruction).Config)
    fitting = [r for r in RANGES if builds(REGISTRY.get("reconstruction", reconstruction), cost, spec_of(frame, r))]
    values: dict[str, Any] = {
        "data": "given",
        "latents": {"static": STATIC, "dynamic": DYNAMIC},
        "encoder": {**_plain(dealer, "encoder", encoder), "frames": dealer.part("frame_encoder", frame_encoder, spec)},
        "static_prior": dealer.part("static_prior", static_prior, spec),
        "prior": dealer.part("prior", prior, spec),
        "decoder": {**_plain(dealer, "decoder", decoder), "frames": dealer.part("frame_decoder", frame_decoder, spec)},
        "reconstruction": {"name": reconstruction, **nested(cost)},
        "penalty": _penalties(dealer, action),
        "training": _training(dealer),
    }
    if action:
        values["latents"] |= {"action": ACTIONS, "action_prior": dealer.deal("action_prior", [[], [3.0, 2.0, 1.0]])}
        values["action"] = _plain(dealer, "action_encoder", action)
    value_range = dealer.deal(("range", form, fitting[-1]), [*fitting, fitting[-1]])
    _add_terms(values, dealer, spec_of(frame, value_range))
    length, padded = dealer.deal("length", range(4, 7)), dealer.deal("padded", (False, False, True))
    info = DataInfo(name="dealt", frame=frame, length=length, value_range=value_range)
    name = "-".join((f"{i:03d}", encoder, prior, decoder, frame_encoder, frame_decoder, *_losses(values)))
    return Combination(name, values, info, padded, frozenset(_used(values, info, padded)))


def _plain(dealer: Dealer, kind: str, name: str) -> dict[str, Any]:
    """A part that is not asked whether it takes these options: it is built from other parts."""
    return {"name": name, **nested(dealer.options((kind, name), REGISTRY.get(kind, name).Config))}


def _penalties(dealer: Dealer, action: str) -> dict[str, Any]:
    """One or two penalties on the static and on the dynamic latent, one or none on the action."""
    counts = {"static": dealer.deal("static penalties", (1, 1, 2)), "dynamic": dealer.deal("dynamic penalties", (1, 1, 2))}
    counts["action"] = dealer.deal("action penalties", (0, 1, 1)) if action else 0
    found: dict[str, Any] = {}
    for latent, count in counts.items():
        for _ in range(count):
            name = dealer.deal(("divergence", latent), divergences(categorical=latent == "action"))
            cls = REGISTRY.get("divergence", name)
            table = dealer.part("divergence", name, ACTIONS if latent == "action" else DYNAMIC)
            table |= {"weight": 1.0, "warmup_steps": dealer.deal("warmup_steps", (0, 0, 1))}
            if latent == "dynamic" and not (cls.paired or cls.needs_density):
                table["conditioning"] = dealer.deal(("conditioning", name), ("posterior", "ancestral"))
            del table["name"]
            found.setdefault(latent, {})[name] = table
    return found


def _add_terms(values: dict[str, Any], dealer: Dealer, spec: Spec) -> None:
    """Up to two terms, each with a view that keeps its latent where it names one."""
    for i in range(dealer.deal(("terms", len(spec.frame)), (0, 1, 2) if len(spec.frame) == 3 else (1, 2, 3))):
        name = dealer.deal("term", REGISTRY.names("term"))
        cls = REGISTRY.get("term", name)
        while True:
            table = dealer.part("term", name, spec)
            if "view" not in {option.path for option in options_of(cls.Config)}:
                break
            if fitting := views(table["of"], spec.frame):
                table["view"] = view = dealer.deal(("view", table["of"], len(spec.frame), spec.value_range), fitting)
                values.setdefault("view", {})[view] = dealer.part("view", view, spec)
                del values["view"][view]["name"]
                break
        values.setdefault("term", {})[f"t{i}"] = {**table, "weight": 1.0, "warmup_steps": dealer.deal("warmup_steps", (0, 0, 1))}


def _training(dealer: Dealer) -> dict[str, Any]:
    """Two steps of two batches of four clips, or of one."""
    found = {path: value for path, value in dealer.options("training", TrainingConfig).items() if path not in ALONE}
    found["inner_steps"] = dealer.deal("inner_steps", (1, 2)) if found["schedule"] == "alternating" else 1
    beta1 = 0.5 if found["schedule"] == "alternating" else 0.9
    groups = {name: {"beta1": beta1} for name in ("encoder", "decoder")}
    return {**found, **groups, "batch_size": 4, "epochs": found["inner_steps"], "log_every": 1}


def _losses(values: Mapping[str, Any]) -> list[str]:
    penalties = [f"{latent}={name}" for latent, tables in values["penalty"].items() for name in tables]
    return penalties + [term["name"] for term in values.get("term", {}).values()] + [values["training"]["schedule"]]


def _used(values: Mapping[str, Any], info: DataInfo, padded: bool) -> Iterable[tuple[str, ...]]:
    """What a combination covers."""
    yield ("pair", values["encoder"]["name"], values["prior"]["name"])
    yield ("frames", values["encoder"]["frames"]["name"], values["decoder"]["frames"]["name"])
    yield ("data", str(info.frame), str(info.value_range), str(padded))
    for kind, part in _parts(values):
        yield (kind, part["name"])
        for option in options_of(REGISTRY.get(kind, part["name"]).Config):
            if choices(option.type):
                yield (kind, part["name"], option.path, str(_at(part, option.path)))
    for latent, tables in values["penalty"].items():
        for name, table in tables.items():
            yield ("divergence", latent, name)
            yield ("conditioning", name, table.get("conditioning", "posterior"))
    for option in options_of(TrainingConfig):
        if choices(option.type) and option.path not in ALONE:
            yield ("training", option.path, str(values["training"][option.path]))


def _parts(values: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for kind in ("encoder", "static_prior", "prior", "decoder", "reconstruction"):
        yield kind, values[kind]
    for side in ("encoder", "decoder"):
        yield f"frame_{side}", values[side]["frames"]
    if "action" in values:
        yield "action_encoder", values["action"]
    for tables in values["penalty"].values():
        for name, table in tables.items():
            yield "divergence", {"name": name, **table}
    for table in values.get("term", {}).values():
        yield "term", table
        if "view" in table:
            yield "view", {"name": table["view"], **values["view"][table["view"]]}


def _at(table: Any, path: str) -> Any:
    for key in path.split("."):
        table = table.get(key) if isinstance(table, Mapping) else None
    return unstructure(table)


def to_cover() -> dict[tuple[str, ...], int]:
    """How often each thing has to come at least: every name twice, every choice of its options and every pair once."""
    found = {("pair", e, p): 1 for e, p in product(REGISTRY.names("encoder"), REGISTRY.names("prior"))}
    found |= {("frames", e, d): 1 for _, e, d in frame_pairs()}
    kinds = ("encoder", "frame_encoder", "frame_decoder", "action_encoder", "static_prior", "prior", "decoder", "reconstruction")
    for kind in (*kinds, "divergence", "term", "view"):
        for name in REGISTRY.names(kind):
            found[kind, name] = 2
            for option in options_of(REGISTRY.get(kind, name).Config):
                found |= {(kind, name, option.path, str(choice)): 1 for choice in choices(option.type)}
    for latent, categorical in (("static", False), ("dynamic", False), ("action", True)):
        found |= {("divergence", latent, name): 2 for name in divergences(categorical)}
    training = [option for option in options_of(TrainingConfig) if option.path not in ALONE]
    return found | {("training", option.path, str(choice)): 1 for option in training for choice in choices(option.type)}
