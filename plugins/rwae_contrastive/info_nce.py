"""Mutual information between a latent and the clips, by telling a clip's view from the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from attrs import field, frozen
from attrs.validators import gt, in_
from torch import Tensor
from torch.nn import functional

from rwae_kit import Encoded, LatentTerm, RecipeError, RwaeError, Spec

KEEPS = {"static": "shuffle", "dynamic": "augment"}
"""Latent to the view that keeps it."""
SHORT = 1e-4
"""Means shorter than this count as if they had this length: the cosine's gradient stays bounded."""

Variant = Literal["across", "clips", "both", "nt_xent"]
VARIANTS = ("across", "clips", "both", "nt_xent")


class InfoNCE(LatentTerm):
    """-I, where I = 1/2 (C(clip) + C(view)) estimates I(latent; x) in nats. Minimised, so that the latent keeps its information.

        C = E_i log [e(u_i, v_i) / (e(u_i, v_i) + sum_j e(u_i, w_j))] + log(n + 1),    e(u, v) = exp(cos(u, v) / temperature)

    u_i and v_i are the posterior means of a clip and of its view, then the other way round; the dynamic latent's are those of the
    whole trajectory, padding as 0. The n negatives w_j are, by `variant`: "across" the other clips' v_j (n = b - 1); "clips" the
    other clips in both directions, as Eq. 7 reads; "both" the other clips and their views (n = 2b - 2). "nt_xent" is "both" without
    log(n + 1), so it is a cross entropy. `estimates["nats"]` is I for all four. With one clip both are 0.

    I is at most log(n + 1), and at most 2 / temperature. Only "across" is a lower bound of mutual information (that of a clip's and
    its view's latents, which is no more than a latent's and x's): the other negatives are drawn from another distribution than the
    positives, and what tells views from clips raises I.

    Shape: of two views, static means `[b, d]` or dynamic means `[b, t, d]` -> `[]`.

    Raises:
        RecipeError: the view is the clip itself. A view that changes the latent is refused when the model is built.
        RwaeError: a posterior without means.

    Source: C-DSVAE Eq. 7, 8 (Bai et al. 2021): cosine, temperature 0.5, means. Ours: "across" by default (the paper's x^j are
    sequences of the minibatch, it does not say of which kind); one draw of the view for both directions. "nt_xent" is SimCLR's loss
    (Chen et al. 2020), which C-DSVAE's published code uses.
    """

    @frozen(kw_only=True)
    class Config:
        """What is compared with what."""

        of: Literal["static", "dynamic"] = field(
            default="static", validator=in_(tuple(KEEPS)), metadata={"help": "the latent that is to keep its information"}
        )
        view: str | None = field(
            default=None,
            metadata={"help": "a view that keeps this latent; left out: shuffle for the static, augment for the dynamic one"},
        )
        temperature: float = field(default=0.5, validator=gt(0), metadata={"help": "divides the cosine"})
        variant: Variant = field(
            default="across",
            validator=in_(VARIANTS),
            metadata={
                "help": "negatives: across (views for a clip, clips for a view: a lower bound), clips, both; "
                "nt_xent: both, without log(n + 1)"
            },
        )

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        self.settings = config
        self.view = KEEPS[config.of] if config.view is None else config.view
        if self.view == "clip":
            raise RecipeError("view: 'clip' is the clip itself, which is no other view of it; leave it out, or name a view")
        self.needs, self.keeping = ("clip", self.view), {self.view: config.of}

    def forward(self, views: Mapping[str, Encoded]) -> Tensor:
        u, v = (self._directions(views[name]) for name in self.needs)
        with torch.autocast(u.device.type, enabled=False):
            variant = self.settings.variant
            both = variant in ("both", "nt_xent")
            of_clip = (u, v) if both else (v,) if variant == "across" else (u,)
            of_view = (v, u) if both else (u,)
            loss = 0.5 * (self._cross_entropy(u, v, of_clip) + self._cross_entropy(v, u, of_view))
            most = math.log(1 + (len(u) - 1) * len(of_clip))
        self.estimates = {"nats": (most - loss).detach()}
        return loss if variant == "nt_xent" else loss - most

    def _directions(self, view: Encoded) -> Tensor:
        """Unit vectors `[b, k]` of the means of the latent."""
        latent = view.posterior.static if self.settings.of == "static" else view.posterior.dynamic
        if latent.mean is None:
            raise RwaeError(f"info_nce: the posterior of the {self.settings.of} latent has no means (Latent.mean)")
        mean = latent.mean if latent.weight is None else latent.mean * latent.weight.to(latent.mean).unsqueeze(-1)
        return functional.normalize(mean.flatten(1), dim=1, eps=SHORT)

    def _cross_entropy(self, anchors: Tensor, positives: Tensor, negatives: tuple[Tensor, ...]) -> Tensor:
        """-E log(e(u_i, v_i) / (e(u_i, v_i) + sum_j e(u_i, w_j))); of each set of negatives the i-th is left out."""
        right = (anchors * positives).sum(1, keepdim=True)
        own = torch.eye(len(anchors), dtype=torch.bool, device=anchors.device)
        wrong = [(anchors @ others.T).masked_fill(own, -torch.inf) for others in negatives]
        scores = torch.cat([right, *wrong], 1) / self.settings.temperature
        return -scores.log_softmax(1)[:, 0].mean()
