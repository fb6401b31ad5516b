"""Plugins, and what they registered: kind and name to a class.

The registry is an object, not a global. Listing it imports no implementation; `get` does.
"""

from __future__ import annotations

import importlib
import importlib.resources
import importlib.util
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Self

import pluggy
from attrs import evolve, field, frozen

from rwae_kit import __version__, hookspecs
from rwae_kit.errors import PluginError, did_you_mean

GROUP = "rwae_kit"
"""The entry-point group of every plugin, ours and a stranger's."""
UNVERSIONED = "-"
"""The version of a plugin that is no installed package: a file, or an object of this process."""


@frozen
class Kind:
    """A kind of component: the hook it comes in by and the interfaces it must implement."""

    hook: str
    interfaces: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = {
    "encoder": Kind("rwae_encoders", ("SequenceEncoder",)),
    "frame_encoder": Kind("rwae_frame_encoders", ("FrameEncoder",)),
    "frame_decoder": Kind("rwae_frame_decoders", ("FrameDecoder",)),
    "action_encoder": Kind("rwae_action_encoders", ("ActionEncoder",)),
    "static_prior": Kind("rwae_static_priors", ("StaticPrior",)),
    "prior": Kind("rwae_priors", ("DynamicPrior",)),
    "decoder": Kind("rwae_decoders", ("Decoder",)),
    "reconstruction": Kind("rwae_reconstructions", ("Reconstruction",)),
    "divergence": Kind("rwae_divergences", ("Divergence", "CategoricalDivergence")),
    "term": Kind("rwae_terms", ("LatentTerm",)),
    "view": Kind("rwae_views", ("FrameView", "OrderView")),
    "dataset": Kind("rwae_datasets", ("SequenceDataset",)),
    "metric": Kind("rwae_metrics", ("Metric",)),
    "tracker": Kind("rwae_trackers", ("Tracker",)),
    "recipe": Kind("rwae_recipes"),
    "command": Kind("rwae_commands"),
}


@frozen
class Entry:
    """One registered name: where its implementation is and whose it is."""

    kind: str
    name: str
    target: type | str
    plugin: str
    distribution: str
    version: str

    @property
    def path(self) -> str:
        """The implementation as `module:Name`."""
        return self.target if isinstance(self.target, str) else f"{self.target.__module__}:{self.target.__qualname__}"

    def load(self) -> Any:
        """Import the implementation."""
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except Exception as error:
            raise PluginError(
                f"{self.kind} {self.name!r} of plugin {self.plugin!r} ({self.distribution} {self.version}): cannot load "
                f"{self.target!r}: {type(error).__name__}: {error}"
            ) from error


@frozen
class Registry:
    """What every plugin registered, and the plugins that could not be loaded."""

    entries: Mapping[tuple[str, str], Entry] = field(factory=dict)
    broken: Mapping[str, str] = field(factory=dict)
    """Plugin to the reason why it is not here."""

    @classmethod
    def installed(cls, files: Iterable[Path] = ()) -> Self:
        """All installed plugins (entry-point group `rwae_kit`), and plugin files that are not packaged yet."""
        shipped = {
            ("recipe", path.stem): Entry("recipe", path.stem, f"rwae_kit:recipes/{path.name}", "rwae_kit", "rwae-kit", __version__)
            for path in sorted((Path(__file__).parent / "recipes").glob("*.toml"))
        }
        registry = cls(shipped)
        for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
            registry = registry._with_entry_point(point)
        for path in files:
            registry = registry.with_plugin(_module_from(path), name=path.stem, distribution=str(path))
        return registry

    def with_plugin(self, plugin: object, *, name: str, distribution: str = "this process", version: str = UNVERSIONED) -> Self:
        """This registry and one plugin more: any module or object with hook implementations.

        Raises:
            PluginError: a misspelt hook, a hook that returns no mapping, or a name that is taken.
        """
        manager = pluggy.PluginManager("rwae_kit")
        manager.add_hookspecs(hookspecs.Hooks)
        try:
            manager.register(plugin, name=name)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            hooks = [k.hook for k in KINDS.values()]
            wrong = next((n for n in dir(plugin) if n.startswith("rwae_") and n not in hooks and callable(getattr(plugin, n))), "")
            hint = f" {did_you_mean(wrong, hooks)}" if wrong else ""
            raise PluginError(f"plugin {name!r} ({distribution}): {str(error).splitlines()[-1]}.{hint}") from error
        entries = dict(self.entries)
        for kind, spec in KINDS.items():
            for found in getattr(manager.hook, spec.hook)():
                if not isinstance(found, Mapping):
                    raise PluginError(f"plugin {name!r}: hook {spec.hook} must return a mapping of names, not {found!r}")
                for key, target in found.items():
                    entry = Entry(kind, key, target, name, distribution, version)
                    if (kind, key) in entries:
                        other = entries[kind, key]
                        raise PluginError(
                            f"{kind} {key!r} is registered twice: by {other.plugin!r} ({other.distribution}) and by {name!r} "
                            f"({distribution}). Rename one, or uninstall one"
                        )
                    entries[kind, key] = entry
        return evolve(self, entries=entries)

    def names(self, kind: str) -> list[str]:
        """The registered names of a kind, sorted."""
        return sorted(name for k, name in self.entries if k == kind)

    def find(self, kind: str, name: str, where: str = "") -> Entry:
        """The entry of a name; `where` (a path in the recipe) begins the error message.

        Raises:
            PluginError: the name is unknown.
        """
        if (kind, name) in self.entries:
            return self.entries[kind, name]
        prefix = f"{where}: " if where else ""
        lost = f" (not loaded: {'; '.join(f'{p}: {why}' for p, why in self.broken.items())})" if self.broken else ""
        elsewhere = [k for k, n in self.entries if n == name]
        what = elsewhere[0].replace("_", " ") if elsewhere else ""
        hint = f"It is {'an' if what[0] in 'ae' else 'a'} {what}." if what else did_you_mean(name, self.names(kind))
        raise PluginError(f"{prefix}unknown {kind.replace('_', ' ')} {name!r}. {hint}{lost}")

    def recipe_file(self, name: str) -> Path:
        """The file of a recipe by its name, or the file itself if `name` ends in `.toml`.

        Raises:
            PluginError: no recipe of that name.
        """
        if name.endswith(".toml"):
            return Path(name)
        package, _, file = self.find("recipe", name).path.partition(":")
        return Path(str(importlib.resources.files(package) / file))

    def get(self, kind: str, name: str, where: str = "") -> Any:
        """Import a component and check that it is what its hook says.

        Raises:
            PluginError: unknown, not importable, or the wrong kind.
        """
        entry = self.find(kind, name, where)
        found = entry.load()
        if KINDS[kind].interfaces:
            from rwae_kit import interfaces

            wanted = tuple(getattr(interfaces, i) for i in KINDS[kind].interfaces)
            if not (isinstance(found, type) and issubclass(found, wanted)):
                raise PluginError(
                    f"{kind} {name!r} of plugin {entry.plugin!r}: {entry.path} is no {' or '.join(KINDS[kind].interfaces)}"
                )
            if missing := sorted(getattr(found, "__abstractmethods__", ())):
                raise PluginError(f"{kind} {name!r} of plugin {entry.plugin!r}: {entry.path} does not define {', '.join(missing)}")
        return found

    def _with_entry_point(self, point: EntryPoint) -> Self:
        distribution = point.dist.name if point.dist else "unknown"
        try:
            version = point.dist.version if point.dist else UNVERSIONED
            return self.with_plugin(point.load(), name=point.name, distribution=distribution, version=version)
        except Exception as error:
            reason = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            return evolve(self, broken={**self.broken, point.name: f"{distribution}: {reason}"})


def _module_from(path: Path) -> object:
    if not path.is_file():
        raise PluginError(f"--plugin {path}: no such file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"--plugin {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise PluginError(f"--plugin {path}: {type(error).__name__}: {error}") from error
    return module
