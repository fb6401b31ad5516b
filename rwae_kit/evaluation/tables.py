"""An evaluation as tables of words, for the terminal and for the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rwae_kit.evaluation.evaluate import Evaluation, Scores
from rwae_kit.evaluation.probes import CODES, PROBES, ProbeScore
from rwae_kit.evaluation.swap import ROWS


class Table(NamedTuple):
    """A title, the names of the columns, and the rows; the first cell of a row names it."""

    title: str
    headers: list[str]
    rows: list[list[str]]


NOTES = {
    "Reconstruction": "On the test clips. Explained variance is 1 - SSE / SSE(mean clip of the training split): 100 % is a perfect "
    "copy, the mean clip has 0 %. The std of the codes tells of a latent that is not used (near 0) or that runs away; a dimension "
    "that is not in use has collapsed to the prior: the same for all clips.",
    "Swaps": "What the judge reads. Swap: the static factors should be the first clip's, the dynamic ones the second's. Motion "
    "sampled: static code kept, motion drawn from the prior; static sampled: the other way round. The copies are trivial models.",
    "Leaks": "Accuracy of probes on the code where a factor has no business: static factors from the dynamic code averaged over "
    "time, dynamic factors from the static code. At best it is chance, the share of the most frequent class.",
    "Probes": "Accuracy on held-out clips of probes that read a factor from a code: linear / MLP.",
    "Metrics": "Further scores of the test codes.",
}
"""What each table shows, in a sentence or two."""


def tables(evaluation: Evaluation) -> list[Table]:
    """All tables that the evaluation has the scores for."""
    models = {"model": evaluation.model}
    if evaluation.untrained is not None:
        models["untrained"] = evaluation.untrained
    made = [_reconstruction(evaluation, models), _swaps(evaluation, models), _leaks(models), _probes(models), _metrics(models)]
    return [table for table in made if table.rows]


def _reconstruction(evaluation: Evaluation, models: Mapping[str, Scores]) -> Table:
    rows = []
    for name, scores in models.items():
        own = scores.reconstruction
        latents = [", ".join((_number(scores.scale[name]), *_in_use(scores, name))) for name in scores.scale]
        rows.append([name, percent(own.explained), _number(own.mse), _number(own.sse), *latents])
    trivial = evaluation.mean_clip
    rows.append(["mean clip", percent(trivial.explained), _number(trivial.mse), _number(trivial.sse), "–", "–"])
    of_latents = [f"{name}: std, in use" for name in evaluation.model.scale]
    headers = ["", "explained variance", "MSE per value", "SSE per clip", *of_latents]
    return Table("Reconstruction", headers, rows)


def _swaps(evaluation: Evaluation, models: Mapping[str, Scores]) -> Table:
    swap = evaluation.model.swap
    judged = {name for row in swap.values() for name in row}
    names = sorted(judged, key=lambda name: (evaluation.kinds[name] == "dynamic", list(evaluation.kinds).index(name)))
    rows = [[row, *(_share(swap[row], name) for name in names)] for row in ROWS if row in swap and judged]
    rows += [
        [f"{name}: swap", *(_share(s.swap["swap"], factor) for factor in names)]
        for name, s in models.items()
        if name != "model" and judged
    ]
    return Table("Swaps", ["clips", *(f"{name} ({evaluation.kinds[name]})" for name in names)], rows)


def _leaks(models: Mapping[str, Scores]) -> Table:
    rows = []
    for score in models["model"].probes:
        if not score.leak or score.probe != PROBES[0]:
            continue
        found = [_find(scores, score, probe) for scores in models.values() for probe in PROBES]
        worst = models["model"].leaks()[score.factor]
        rows.append([score.factor, score.code, percent(score.chance), *map(percent, found), f"{100 * worst:+.1f}"])
    probes = [probe if name == "model" else f"{name}: {probe}" for name in models for probe in PROBES]
    return Table("Leaks", ["factor", "read from", "chance", *probes, "points over chance"], rows)


def _probes(models: Mapping[str, Scores]) -> Table:
    rows = []
    for score in models["model"].probes:
        if score.code != CODES[0] or score.probe != PROBES[0]:
            continue
        for name, scores in models.items():
            cells = [" / ".join(percent(_find(scores, score, probe, code)) for probe in PROBES) for code in CODES]
            first = [f"{score.factor} ({score.kind})", percent(score.chance)] if name == "model" else [name, ""]
            rows.append([*first, *cells])
    return Table("Probes", ["factor", "chance", *(f"from {code}" for code in CODES)], rows)


def _metrics(models: Mapping[str, Scores]) -> Table:
    names = models["model"].metrics
    rows = [[name, *(_number(scores.metrics[name]) for scores in models.values())] for name in names]
    return Table("Metrics", ["metric", *models], rows)


def _find(scores: Scores, like: ProbeScore, probe: str, code: str | None = None) -> float:
    wanted = (code or like.code, like.factor, probe)
    return next(score.accuracy for score in scores.probes if (score.code, score.factor, score.probe) == wanted)


def _in_use(scores: Scores, latent: str) -> list[str]:
    return ["{} of {}".format(*scores.in_use[latent])] if latent in scores.in_use else []


def _share(row: Mapping[str, float], name: str) -> str:
    return percent(row[name]) if name in row else "–"


def percent(share: float) -> str:
    """A share as a percentage with one decimal."""
    return f"{100 * share:.1f} %"


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
