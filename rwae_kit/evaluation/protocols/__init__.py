"""Protocols: how the papers, and we, score a model on held-out clips. Each has a file of its own; this is the table of them."""

from collections.abc import Mapping
from typing import Any

from rwae_kit.evaluation.protocols import actions, cdsvae2021, eer, long, msd, probe, rwae2021, swap
from rwae_kit.evaluation.protocols.subject import Protocol, Subject, judge_name
from rwae_kit.evaluation.results import Result

PROTOCOLS: Mapping[str, Protocol] = {
    "cdsvae2021": cdsvae2021.PROTOCOL,
    "rwae2021": rwae2021.PROTOCOL,
    "long": long.PROTOCOL,
    "actions": actions.PROTOCOL,
    "swap": swap.PROTOCOL,
    "probe": probe.PROTOCOL,
    "eer": eer.PROTOCOL,
    "msd": msd.PROTOCOL,
}


def run_protocol(name: str, subject: Subject, settings: Any = None) -> Result:
    """Score a model by one of `PROTOCOLS`.

    Arguments:
        settings: an object of the protocol's `settings`; None for its defaults.
    """
    protocol = PROTOCOLS[name]
    return protocol.run(subject, protocol.settings() if settings is None else settings)


__all__ = ["PROTOCOLS", "Protocol", "Subject", "judge_name", "run_protocol"]
