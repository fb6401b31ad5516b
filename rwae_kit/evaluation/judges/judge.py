"""A judge that was trained: its network, and a card that says on what data, how well it does, and by what name it goes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Self, final

import torch
from attrs import asdict, evolve, field, frozen
from torch import Tensor

from rwae_kit.checkpoint import digest
from rwae_kit.data import DataInfo, Factor
from rwae_kit.errors import DataError
from rwae_kit.evaluation.judges.network import JudgeNet, JudgeSizes, Reading
from rwae_kit.interfaces import Judge

_CLIPS = 256
"""Clips that are judged at a time."""


@frozen(kw_only=True)
class FactorScore:
    """How well a judge reads one factor of real clips.

    `calibration_error` is the expected calibration error on the test split, over 15 equal bins of the highest probability.
    """

    validation: float
    test: float
    calibration_error: float


@frozen(kw_only=True)
class JudgeCard:
    """What is known of a judge; with the weights it is all that a judge is built from."""

    data: str
    data_hash: str
    data_options: Mapping[str, Any] = field(factory=dict)
    frame: tuple[int, ...]
    length: int
    factors: Mapping[str, Factor]
    """Those that it reads."""
    left_out: Mapping[str, str] = field(factory=dict)
    """Factors of the data that it does not read, and why."""
    sizes: JudgeSizes
    scores: Mapping[str, FactorScore] = field(factory=dict)
    training: Mapping[str, Any] = field(factory=dict)
    version: str = ""
    """Of rwae_kit, when it was trained."""
    hash: str = ""

    def config(self) -> dict[str, Any]:
        """What takes part in the hash, beside the weights."""
        names = ("data", "data_hash", "data_options", "frame", "length", "factors", "sizes")
        return {name: value for name, value in asdict(self).items() if name in names}

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From what `to_dict` gave, by way of JSON."""
        factors = {name: Factor(classes=tuple(e["classes"]), kind=e["kind"]) for name, e in values["factors"].items()}
        scores = {name: FactorScore(**score) for name, score in values["scores"].items()}
        sizes = JudgeSizes(**values["sizes"])
        return cls(**{**values, "frame": tuple(values["frame"]), "factors": factors, "scores": scores, "sizes": sizes})


@final
class TrainedJudge(Judge):
    """Reads the factors of clips by a network, with probabilities. Clips may be longer or shorter than those it was trained on."""

    def __init__(self, net: JudgeNet, card: JudgeCard) -> None:
        self.net = net.eval()
        self.card = evolve(card, hash=_name(net, card))

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.net.parameters()).device

    def predict(self, x: Tensor) -> Mapping[str, Tensor]:
        """Clips `[n, t, *frame]` in the data's range to classes `[n]`.

        Raises:
            DataError: clips of another frame, or values that are not finite.
        """
        return {name: logits.argmax(1) for name, logits in self.read(x).logits.items()}

    @torch.no_grad()
    def read(self, x: Tensor, mask: Tensor | None = None) -> Reading:
        """As `predict`, but the logits of every factor and the features of every frame; `mask` `[n, t]` is 0 at padding."""
        if not bool(torch.isfinite(x).all()):
            raise DataError("judge: the clips have values that are not finite")
        parts = []
        for start in range(0, len(x), _CLIPS):
            piece = slice(start, start + _CLIPS)
            parts.append(self.net(x[piece].to(self.device), None if mask is None else mask[piece].to(self.device)))
        logits = {name: torch.cat([part.logits[name] for part in parts]).to(x.device) for name in parts[0].logits}
        return Reading(logits=logits, frames=torch.cat([part.frames for part in parts]).to(x.device))

    def check(self, info: DataInfo, where: str = "judge") -> None:
        """Refuse to judge other data than those that it was trained on.

        Raises:
            DataError: another data set, or the same with other options.
        """
        if self.card.data_hash != info.hash:
            other = "" if self.card.data == info.name else f", and these are {info.name}"
            raise DataError(
                f"{where}: this judge was trained on {self.card.data} (sha256 {self.card.data_hash[:12]}...){other} (sha256 "
                f"{info.hash[:12]}...). Train one on the same data and options: rwk judge train --data {info.name}"
            )


def read_classes(judge: Judge, x: Tensor, mask: Tensor | None) -> Mapping[str, Tensor]:
    """What a judge reads, `[n]` for each factor; one that was trained looks away from padding (mask `[n, t]` 0)."""
    if isinstance(judge, TrainedJudge) and mask is not None:
        return {name: logits.argmax(1) for name, logits in judge.read(x, mask).logits.items()}
    return judge.predict(x)


def _name(net: JudgeNet, card: JudgeCard) -> str:
    """sha256 of what it is and of its weights."""
    weights = digest({name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()})
    text = json.dumps({**card.config(), "weights": weights}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
