"""Judging a model: functions of clips, codes and frames. What the extra `eval` brings is imported only where it is needed."""

from rwae_kit.evaluation.codes import Codes, encode_clips
from rwae_kit.evaluation.compare import Comparison, Line, compare
from rwae_kit.evaluation.comparison_tables import comparison_tables, footnotes
from rwae_kit.evaluation.evaluate import Evaluation, Scores, evaluate
from rwae_kit.evaluation.foreign import ForeignCodes, read_codes, score_codes
from rwae_kit.evaluation.metrics import (
    BASELINES,
    Accuracies,
    Dci,
    FactorMap,
    InceptionScores,
    Intervention,
    accuracies,
    benchmark_intervention,
    bootstrap,
    consistency,
    dci,
    equal_error_rate,
    equal_error_score,
    factor_map,
    frame_consistency,
    frechet_distance,
    identity_error,
    inception_intervals,
    inception_scores,
    intervention,
    trivial_codes,
)
from rwae_kit.evaluation.probes import ProbeScore, probe_accuracy, probe_codes
from rwae_kit.evaluation.published import Published, broken_identity, published
from rwae_kit.evaluation.reconstruction import ReconstructionScore, mean_clip, reconstruction_score
from rwae_kit.evaluation.result_tables import result_table
from rwae_kit.evaluation.results import Result, Score
from rwae_kit.evaluation.swap import derangement, swap_accuracy
from rwae_kit.evaluation.tables import NOTES, Table, tables

__all__ = [
    "BASELINES",
    "NOTES",
    "Accuracies",
    "Codes",
    "Comparison",
    "Dci",
    "Evaluation",
    "FactorMap",
    "ForeignCodes",
    "InceptionScores",
    "Intervention",
    "Line",
    "ProbeScore",
    "Published",
    "ReconstructionScore",
    "Result",
    "Score",
    "Scores",
    "Table",
    "accuracies",
    "benchmark_intervention",
    "bootstrap",
    "broken_identity",
    "compare",
    "comparison_tables",
    "consistency",
    "dci",
    "derangement",
    "encode_clips",
    "equal_error_rate",
    "equal_error_score",
    "evaluate",
    "factor_map",
    "footnotes",
    "frame_consistency",
    "frechet_distance",
    "identity_error",
    "inception_intervals",
    "inception_scores",
    "intervention",
    "mean_clip",
    "probe_accuracy",
    "probe_codes",
    "published",
    "read_codes",
    "reconstruction_score",
    "result_table",
    "score_codes",
    "swap_accuracy",
    "tables",
    "trivial_codes",
]
