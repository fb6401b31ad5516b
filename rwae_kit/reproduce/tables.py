"""What a published table is here, as data: methods, data sets, budgets, protocols. One TOML file each, in `tables/`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from attrs import evolve, field, frozen
from attrs.validators import ge, gt, min_len, optional

from rwae_kit.convert import structure
from rwae_kit.errors import RecipeError, did_you_mean
from rwae_kit.recipe import read_toml

BUDGETS: Final = ("smoke", "cpu", "full")
"""Does it run at all; small models at 32 pixels on two cores; the papers' sizes on a GPU."""
FOLDER: Final = Path(__file__).parent / "tables"
SMOKE_CLIPS: Final = {"train": 64, "validation": 16, "test": 32}
"""What a smoke run sees of each split, at most: two batches to train on."""
_SMOKE: Final = {
    "training.batch_size": SMOKE_CLIPS["train"] // 2,
    "training.validate_every": 1,
    "training.checkpoint_every": 1,
    "training.log_every": 1,
}


@frozen(kw_only=True)
class Method:
    """A row of the table: a recipe, and what is changed in it here."""

    recipe: str
    """A reference, such as "rwae-mmd:small"."""
    name: str = ""
    """Of its folders; without one it is made of the reference."""
    title: str = ""
    """What tables call it; without one, what its recipe says."""
    remove: tuple[str, ...] = ()
    set: Mapping[str, Any] = field(factory=dict)
    """Values by path, over those of the budget."""
    search: Mapping[str, tuple[Any, ...]] = field(factory=dict)
    """What the paper leaves open, by path, and the values that a search tries."""
    like: str = ""
    """The recipe of another row: what its search chose is taken here too, so that the two differ in their recipes alone."""
    init: str = ""
    """A row above, by the name of its folders: this one begins from the weights of its run of the same seed, where they fit."""
    epochs: int | None = field(default=None, validator=optional(ge(1)))
    """In place of the budget's, and of those that a command asks for."""

    def called(self) -> str:
        """The name of its folders."""
        return self.name or self.recipe.replace(":", "-").replace("+", "-")


@frozen(kw_only=True)
class JudgeBudget:
    """How the judge is trained where none is there; see `JudgeTraining`."""

    epochs: int = field(default=20, validator=ge(1))
    width: int = field(default=64, validator=ge(1))
    factors: tuple[str, ...] = ()
    """None named: all that can be learned."""


@frozen(kw_only=True)
class SearchBudget:
    """What a search for hyperparameters may spend on each method."""

    trials: int = field(default=8, validator=ge(1))
    epochs: int = field(validator=ge(1))
    minutes: float = field(default=10.0, validator=gt(0.0))
    """A trial ends after this time, wherever it is."""
    looks: str = ""
    """A view that changes what the dynamic latent should not tell; see `cycle_score`."""
    looks_options: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Budget:
    """What is done with the time that there is."""

    methods: tuple[Method, ...] = field(validator=min_len(1))
    options: Mapping[str, Any] = field(factory=dict)
    """Of the data set."""
    set: Mapping[str, Any] = field(factory=dict)
    """Values by path over every method's recipe: the same for all."""
    epochs: int | None = field(default=None, validator=optional(ge(1)))
    """None: as the recipes have it."""
    minutes: float | None = field(default=None, validator=optional(gt(0.0)))
    """A run ends after this time, wherever it is."""
    seeds: int = field(default=3, validator=ge(1))
    judge: JudgeBudget = field(factory=JudgeBudget)
    search: SearchBudget | None = None
    """None: nothing is searched."""

    def __attrs_post_init__(self) -> None:
        for method in self.methods:
            if method.like and method.search:
                raise ValueError(f"{method.recipe}: has values of its own to search, and 'like'; leave one of them out")
            if method.like and not self.searched_for(method).search:
                known = [one.recipe for one in self.methods if one.search]
                hint = did_you_mean(method.like, known)
                raise ValueError(f"{method.recipe}: 'like' = {method.like!r} is no row with a search. {hint}")
        above: list[str] = []
        for method in self.methods:
            if method.init and method.init not in above:
                hint = did_you_mean(method.init, above)
                raise ValueError(f"{method.called()}: 'init' = {method.init!r} is no row above that is trained anew. {hint}")
            above += [] if method.init else [method.called()]

    def searched_for(self, method: Method) -> Method:
        """The row whose search chooses a method's values: its own, or the one that it is like."""
        return next((one for one in self.methods if one.recipe == method.like), method)

    def begun_from(self, method: Method) -> Method | None:
        """The row whose runs a method's begin from; None where they begin anew."""
        return next((one for one in self.methods if one.called() == method.init), None)


@frozen(kw_only=True)
class DataChoice:
    """A data set that the table can be made on. `smoke` has options of the data set that make it small."""

    cpu: Budget
    full: Budget
    smoke: Mapping[str, Any] = field(factory=dict)
    note: str = ""
    """What a reader has to know of these data in this table."""

    def budget(self, name: str, epochs: int | None = None) -> Budget:
        """A budget by its name; smoke is cpu with two steps for each run and a judge that learns nothing.

        Arguments:
            epochs: of every run, in place of the budget's; its limit of time stays.

        Raises:
            RecipeError: there is none, or it is a smoke test of so many epochs.
        """
        if name not in BUDGETS:
            raise RecipeError(f"--budget {name}: no such budget. {did_you_mean(name, BUDGETS)}")
        if name != "smoke":
            chosen = self.cpu if name == "cpu" else self.full
            return chosen if epochs is None else evolve(chosen, epochs=epochs)
        if epochs is not None:
            raise RecipeError(
                f"--epochs {epochs}: a smoke test has two steps for each run. Leave it out, or take --budget cpu or full"
            )
        judge = JudgeBudget(epochs=1, width=4, factors=self.cpu.judge.factors)
        options, values = {**self.cpu.options, **self.smoke}, {**self.cpu.set, **_SMOKE}
        search = None if self.cpu.search is None else evolve(self.cpu.search, trials=2, epochs=1)
        methods = tuple(evolve(method, epochs=None) for method in self.cpu.methods)
        return evolve(
            self.cpu,
            methods=methods,
            options=options,
            set=values,
            epochs=1,
            minutes=None,
            seeds=1,
            judge=judge,
            search=search,
        )


@frozen(kw_only=True)
class Scoring:
    """A protocol, with its settings."""

    protocol: str
    settings: Mapping[str, Any] = field(factory=dict)
    draws: int = field(default=1, validator=ge(1))
    show: tuple[str, ...] = ()
    """Parts of the names of the scores that RESULTS.md shows; all, if there is none. Files have every score."""


@frozen(kw_only=True)
class PaperTable:
    """A published table, and how it is made here."""

    name: str
    title: str
    papers: str
    """Which tables of which papers."""
    also: tuple[str, ...] = ()
    """Other names, of tables of other papers that this one makes too."""
    published: str
    """The data set whose published rows stand beside: it may be another one than ours."""
    scoring: tuple[Scoring, ...] = field(validator=min_len(1))
    data: Mapping[str, DataChoice]
    """By name; the first is taken unless another one is asked for."""
    notes: tuple[str, ...] = ()
    """What is not as in the paper."""
    pictures: tuple[Literal["reconstructions", "swap", "matrix", "samples", "samples_long", "traversal", "codes"], ...] = ()
    """Of a run's pictures those that `rwk collect` shows."""

    def called(self, data: str, budget: str, epochs: int | None = None) -> str:
        """The name of its folder and files, made on some data under a budget, with epochs of its own or as the budget has them."""
        own = "" if epochs is None else f"-{epochs}-epochs"
        return f"{self.name}{'' if data == next(iter(self.data)) else f'-{data}'}-{budget}{own}"

    def choose(self, data: str | None) -> tuple[str, DataChoice]:
        """A data set of the table.

        Raises:
            RecipeError: it is not made on these data.
        """
        name = data or next(iter(self.data))
        if name not in self.data:
            raise RecipeError(f"reproduce {self.name}: not made on --data {name}. {did_you_mean(name, self.data)}")
        return name, self.data[name]


@cache
def paper_tables() -> tuple[PaperTable, ...]:
    """All tables, by name.

    Raises:
        RecipeError: a file of them is wrong; says where.
    """
    return tuple(read_table(file) for file in sorted(FOLDER.glob("*.toml")))


def read_table(file: Path) -> PaperTable:
    """The table of a file; a method may be its reference alone.

    Raises:
        RecipeError: an unknown key or a wrong value; says where.
    """
    values = dict(read_toml(file))
    values["data"] = {name: _choice(table) for name, table in values.get("data", {}).items()}
    return structure({"name": file.stem, **values}, PaperTable, file.name)


def find_table(name: str) -> PaperTable:
    """A table by its name, or by another name of it.

    Raises:
        RecipeError: there is none.
    """
    names = {one: table for table in paper_tables() for one in (table.name, *table.also)}
    if name not in names:
        raise RecipeError(f"reproduce: no table {name!r}. {did_you_mean(name, names)} rwk reproduce lists them")
    return names[name]


def _choice(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _budget(inner) if key in ("cpu", "full") else inner for key, inner in values.items()}


def _budget(values: Mapping[str, Any]) -> dict[str, Any]:
    methods = [{"recipe": one} if isinstance(one, str) else one for one in values.get("methods", [])]
    return {**values, "methods": methods}
