"""A plugin project to begin with: a component that works, its registration and its test."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from rwae_kit import __version__
from rwae_kit.errors import PluginError, did_you_mean


@frozen
class Template:
    """What differs between the kinds of component."""

    hook: str
    check: str
    source: str


_DIVERGENCE = '''"""{title}: a divergence between the draws of posterior and prior."""

from __future__ import annotations

import torch
from attrs import field, frozen
from attrs.validators import ge
from rwae_kit import Divergence, Latent
from torch import Tensor


class {cls}(Divergence):
    """|mean(posterior) - mean(prior)|^2 + spread * |std(posterior) - std(prior)|^2, over the draws.

    A beginning that works, for you to replace. A divergence sees `sample` `[..., n, d]` against `[..., m, d]`, with `weight`
    `[..., n]` where some draws are padding, and gives one value for each of the leading axes.
    """

    @frozen(kw_only=True)
    class Config:
        """Options, which recipes and `rwk train --penalty {name} --help` show."""

        spread: float = field(default=1.0, validator=ge(0), metadata={{"help": "weight of the second moment"}})

    def __init__(self, config: Config, d: int) -> None:
        super().__init__(config)
        self.spread = config.spread

    def forward(self, posterior: Latent, prior: Latent) -> Tensor:
        mean, std = moments(posterior)
        prior_mean, prior_std = moments(prior)
        return (mean - prior_mean).square().sum(-1) + self.spread * (std - prior_std).square().sum(-1)


def moments(latent: Latent) -> tuple[Tensor, Tensor]:
    """Weighted mean and standard deviation over the draws: `[..., n, d] -> [..., d]` twice."""
    sample = latent.sample
    weight = torch.ones_like(sample[..., 0]) if latent.weight is None else latent.weight.to(sample)
    share = (weight / weight.sum(-1, keepdim=True).clamp_min(1e-12))[..., None]
    mean = (share * sample).sum(-2)
    variance = (share * (sample - mean[..., None, :]).square()).sum(-2)
    return mean, torch.sqrt(variance + 1e-8)
'''

_PRIOR = '''"""{title}: a prior of the dynamic latent."""

from __future__ import annotations

import torch
from attrs import field, frozen
from attrs.validators import gt
from rwae_kit import DynamicPrior, Latent, Spec
from torch import Tensor, nn


class {cls}(DynamicPrior):
    """p(z_t | z_t-1) = N(A z_t-1 + c, std^2 I), z_0 = 0, with learned A, c and std.

    A beginning that works, for you to replace. The result of `forward` at t sees no z_t.
    """

    @frozen(kw_only=True)
    class Config:
        """Options, which recipes and `rwk train --prior {name} --help` show."""

        std: float = field(default=1.0, validator=gt(0), metadata={{"help": "standard deviation of a step, at the start"}})

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        self.size = spec.dynamic
        self.step = nn.Linear(spec.dynamic, spec.dynamic)
        self.log_var = nn.Parameter(torch.full((spec.dynamic,), config.std).square().log())

    def forward(self, z: Tensor) -> Latent:
        before = torch.cat([torch.zeros_like(z[:, :1]), z[:, :-1]], 1)
        mean = self.step(before)
        return self.draw(mean, self.log_var.expand_as(mean))

    def sample(self, b: int, t: int) -> Tensor:
        z, path = self.step.weight.new_zeros(b, self.size), []
        for _ in range(t):
            z = self.step(z) + torch.exp(0.5 * self.log_var) * self.noise.normal(b, self.size, like=z)
            path.append(z)
        return torch.stack(path, 1)
'''

KINDS: Mapping[str, Template] = {
    "divergence": Template("rwae_divergences", "check_divergence", _DIVERGENCE),
    "prior": Template("rwae_priors", "check_prior", _PRIOR),
}
"""The kinds that there is a skeleton for."""

_PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "rwae-{dashed}"
version = "0.1.0"
description = "{title}, a plugin of rwae_kit."
requires-python = ">=3.11"
dependencies = ["rwae-kit>={version}"]

[project.entry-points.rwae_kit]
{package} = "{package}"

[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""

_DOOR = '''"""{title}, a plugin of rwae_kit. This module names what the plugin has; it imports nothing heavy."""

from __future__ import annotations

from rwae_kit import hookimpl


@hookimpl
def {hook}() -> dict[str, str]:
    """The {kind} `{name}`."""
    return {{"{name}": "{package}.{name}:{cls}"}}
'''

_TEST = """from {package}.{name} import {cls}
from rwae_kit.testing import {check}


def test_{name}_keeps_the_contract_of_its_kind() -> None:
    {check}({cls})
"""

_README = """# rwae-{dashed}

{title}: a {kind} for rwae_kit.

    pip install -e .
    rwk plugins test {name}
    rwk train --{flag} {name} --help
"""


def write_skeleton(name: str, kind: str, folder: Path) -> Path:
    """Write the project `rwae_NAME` into a folder and return its path.

    Raises:
        PluginError: a name that is no Python word, an unknown kind, or a project that is there already.
    """
    if kind not in KINDS:
        raise PluginError(f"plugins new: no skeleton for kind {kind!r}. {did_you_mean(kind, KINDS)}")
    if not (name.isidentifier() and name.islower()) or keyword.iskeyword(name):
        raise PluginError(f"plugins new: {name!r} has to be a Python word in lower case, such as energy or sliced_distance")
    template, package = KINDS[kind], f"rwae_{name}"
    target = folder / package
    if target.exists():
        raise PluginError(f"{target}: is there already. Choose another name or --dir")
    words = {
        "name": name,
        "kind": kind,
        "package": package,
        "dashed": name.replace("_", "-"),
        "cls": "".join(part.capitalize() for part in name.split("_")),
        "title": name.replace("_", " ").capitalize(),
        "hook": template.hook,
        "check": template.check,
        "flag": "penalty" if kind == "divergence" else kind,
        "version": __version__,
    }
    contents = {
        "pyproject.toml": _PROJECT,
        "README.md": _README,
        f"{package}/__init__.py": _DOOR,
        f"{package}/{name}.py": template.source,
        f"tests/test_{name}.py": _TEST,
    }
    for path, text in contents.items():
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(**words), encoding="utf-8")
    return target
