"""Every interface a plugin may implement.

A component is a final class that derives from one of these, has a nested `@frozen(kw_only=True) class Config` (attrs fields with
validators and `metadata={"help": ...}`; the defaults live there and nowhere else) and takes its config first:
`__init__(self, config, ...)`, with the further arguments that its interface names. Axes: `b` batch, `t` time, `d` features,
`n`/`m` draws, `...` independent problems, `*frame` one frame (channel first, or a vector).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch
from attrs import frozen
from torch import Tensor, nn

from rwae_kit.latents import Batch, CategoricalLatent, Encoded, Latent, SequencePosterior
from rwae_kit.noise import Noise

if TYPE_CHECKING:
    from rwae_kit.data import Clips, DataInfo


@frozen(kw_only=True)
class Spec:
    """What a component has to fit: the frames and the sizes of the latents."""

    frame: tuple[int, ...]
    """`(channels, height, width)`, or `(features,)`."""
    value_range: tuple[float, float]
    static: int
    dynamic: int
    action: int = 0
    """Number of actions; 0 where the model has no action latent."""
    action_prior: tuple[float, ...] = ()
    """p(a) up to a factor; empty for a uniform one."""


class Component(nn.Module):
    """What all parts of a model share: a config and the model's source of noise.

    Train mode draws samples; eval mode returns means all along the chain, except inside `Noise.fork`.
    """

    Config: ClassVar[type]

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.noise = Noise()
        """Replaced by the model's own when the component becomes part of one."""

    @property
    @final
    def drawing(self) -> bool:
        """Whether latents are sampled (else they are their means)."""
        return self.training or self.noise.drawing

    @final
    def draw(self, mean: Tensor, log_var: Tensor) -> Latent:
        """Draw `mean + exp(log_var / 2) * noise` (the mean itself where `drawing` is False). Shape: all `[..., n, d]`."""
        if not self.drawing:
            return Latent(sample=mean, mean=mean, log_var=log_var)
        std = torch.exp(0.5 * log_var)
        return Latent(sample=mean + std * self.noise.normal(*mean.shape, like=mean), mean=mean, log_var=log_var)


def share_noise(noise: Noise, parts: nn.Module) -> None:
    """Let all components that a module is made of draw from one source."""
    for module in parts.modules():
        if isinstance(module, Component):
            module.noise = noise


class FrameEncoder(Component, ABC):
    """Frames to feature vectors: `[n, *frame] -> [n, h]`. Built as `(config, spec)`; sets `size` to h."""

    size: int

    @abstractmethod
    def forward(self, frames: Tensor) -> Tensor: ...


class FrameDecoder(Component, ABC):
    """Feature vectors to pre-activations of frames: `[n, h] -> [n, *frame]`. Built as `(config, spec)`; sets `size` to h."""

    size: int

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor: ...


class SequenceEncoder(Component, ABC):
    """The posterior q(s, z_1:T | x_1:T). Built as `(config, spec, frames)` with a `FrameEncoder`."""

    @abstractmethod
    def features(self, batch: Batch) -> Tensor:
        """Features of every frame on its own: `[b, t, h]`."""

    @abstractmethod
    def posterior(self, features: Tensor, batch: Batch) -> SequencePosterior:
        """Static `[b, d_s]` and dynamic `[b, t, d_d]` from the features; padding (mask 0) must not change the static latent."""


class ActionEncoder(Component, ABC):
    """q(a | x, z_1:T): dynamic draws `[b, t, d_d]` and features `[b, t, h]` to `[b, a]`. Built as `(config, spec, h)`."""

    @abstractmethod
    def forward(self, dynamic: Tensor, features: Tensor, mask: Tensor | None = None) -> CategoricalLatent:
        """`mask` `[b, t]` is the batch's; padding (0) must not change the action."""


class StaticPrior(Component, ABC):
    """p(s): a batch to a latent `[b, d_s]`. Built as `(config, spec)`."""

    @abstractmethod
    def forward(self, batch: Batch) -> Latent: ...


class DynamicPrior(Component, ABC):
    """p(z_t | z_<t). Built as `(config, spec)`."""

    @abstractmethod
    def forward(self, z: Tensor) -> Latent:
        """Teacher-forced: p(z_t given z_<t) for all t in one pass, `[b, t, d_d] -> [b, t, d_d]`; the result at t sees no z_t.

        Where p is a mixture at some t, z_t may say which of its Gaussians is meant there, without gradient.
        """

    @abstractmethod
    def sample(self, b: int, t: int) -> Tensor:
        """Ancestral draws `[b, t, d_d]` of any length, always with noise, with gradient to the prior's parameters."""


class Decoder(Component, ABC):
    """p(x_t | s, z): latents to pre-activations `[b, t, *frame]`. Built as `(config, spec, frames)` with a `FrameDecoder`."""

    @abstractmethod
    def forward(self, static: Tensor, dynamic: Tensor, action: Tensor | None = None) -> Tensor: ...


class Reconstruction(Component, ABC):
    """The cost c(x, G(z)) and the link from pre-activations to frames. Built as `(config, spec)`."""

    @abstractmethod
    def mean(self, pre: Tensor) -> Tensor:
        """Pre-activations `[..., *frame]` to frames in the data's range."""

    @abstractmethod
    def forward(self, pre: Tensor, batch: Batch) -> Tensor:
        """The cost of each clip `[b]`, summed over the frame and over the times that are not padding."""


class Divergence(Component, ABC):
    """D(posterior, prior) of `Latent[..., n, d]` and `Latent[..., m, d]`: one value `[...]` for each independent problem.

    Built as `(config, d)`. A divergence never knows which latent it sees: time is an independent problem. Its own parameters, if
    any, belong to the critic.
    """

    paired: ClassVar[bool] = False
    """True: the i-th draw of the posterior belongs to the i-th of the prior (n = m)."""
    needs_density: ClassVar[bool] = False
    """True: reads `mean` and `log_var`, so draws without a density are refused when the model is built."""
    saturates_at: float | None = None
    """A value above which the gradient has died and training should warn."""

    @abstractmethod
    def forward(self, posterior: Latent, prior: Latent) -> Tensor: ...


class AdversarialDivergence(Divergence, ABC):
    """A divergence with a critic, which is trained to tell posterior from prior."""

    @abstractmethod
    def critic_loss(self, posterior: Latent, prior: Latent) -> Tensor:
        """A scalar that the critic's parameters, and they alone, minimise."""


class CategoricalDivergence(Component, ABC):
    """D(posterior, prior) of the action latent: a posterior `[b, a]` and the prior's log-probabilities `[a]` to a scalar.

    Built as `(config, a)`; registered beside the other divergences. It has no parameters.
    """

    saturates_at: float | None = None
    """As for a `Divergence`."""

    @abstractmethod
    def forward(self, posterior: CategoricalLatent, prior: Tensor) -> Tensor: ...


class LatentTerm(Component, ABC):
    """A further loss on the latents of one or more views, such as mutual information. Built as `(config, spec)`."""

    needs: Sequence[str] = ("clip",)
    """Names of the views it reads: "clip" is the batch itself, others are registered views. May be set in the constructor."""
    keeping: Mapping[str, str] = {}
    """Name of a view to the latent that it has to keep, if any: a view that changes it is refused when the model is built."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.estimates: dict[str, Tensor] = {}
        """Scalars to log beside the loss, such as mutual information in nats; `forward` renews them."""

    @abstractmethod
    def forward(self, views: Mapping[str, Encoded]) -> Tensor:
        """A scalar that is minimised."""


class FrameView(Component, ABC):
    """A view with new pixels: `Batch -> [b, t, *frame]`, on the device, one draw per clip. Built as `(config, spec)`."""

    keeps: ClassVar[Sequence[str]] = ("dynamic",)
    """The latents that this view leaves as they are in the clip."""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor: ...


class OrderView(Component, ABC):
    """A view with the same frames in another order: `Batch -> [b, t]`, a permutation of the times of every clip.

    Features are gathered, not computed again. Built as `(config, spec)`.
    """

    keeps: ClassVar[Sequence[str]] = ("static",)
    """The latents that this view leaves as they are in the clip."""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor: ...


class Judge(ABC):
    """Reads factors from frames, to score what a model generates."""

    @abstractmethod
    def predict(self, x: Tensor) -> Mapping[str, Tensor]:
        """Clips `[n, t, *frame]` in the data's range to a class `[n]` for each factor that it can judge."""


class SequenceDataset(ABC):
    """A data set with splits. Built as `(config)`; makes or opens its clips only when asked for them."""

    Config: ClassVar[type]

    @abstractmethod
    def info(self) -> DataInfo:
        """Shapes, range, factors and licence; cheap."""

    @abstractmethod
    def clips(self, split: str) -> Clips:
        """The clips of "train", "validation" or "test"."""


class JudgedDataset(SequenceDataset, ABC):
    """A data set that comes with a judge of its factors."""

    @abstractmethod
    def judge(self) -> Judge: ...


class StoredDataset(SequenceDataset, ABC):
    """A data set that is built once from raw files into a hashed store (`rwk data build NAME --source DIR`)."""

    needs_no_build: ClassVar[bool] = False
    """True: it has clips without a store too."""

    @classmethod
    @abstractmethod
    def build(cls, config: Any, source: Path, target: Path) -> None:
        """Write the store into the empty folder `target` from the raw files in `source`; raises `DataError` naming a bad file."""


class Metric(ABC):
    """A score of codes: arrays `static` `[n, d_s]`, `dynamic` `[n, t, d_d]`, integer `factors` `[n]` to named numbers."""

    @abstractmethod
    def __call__(self, static: Any, dynamic: Any, factors: Mapping[str, Any]) -> Mapping[str, float]: ...


class Tracker(ABC):
    """Receives every metrics record of a run; one that raises is switched off with a warning. Built as `(folder)`."""

    @abstractmethod
    def log(self, record: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def close(self) -> None: ...
