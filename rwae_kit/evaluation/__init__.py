"""Judging a model: functions of clips, codes and frames. scikit-learn (extra `eval`) is imported only by the probes."""

from rwae_kit.evaluation.codes import Codes, encode_clips
from rwae_kit.evaluation.evaluate import Evaluation, Scores, evaluate
from rwae_kit.evaluation.probes import ProbeScore, probe_accuracy, probe_codes
from rwae_kit.evaluation.reconstruction import ReconstructionScore, mean_clip, reconstruction_score
from rwae_kit.evaluation.results import Result, Score
from rwae_kit.evaluation.swap import derangement, swap_accuracy
from rwae_kit.evaluation.tables import NOTES, Table, tables

__all__ = [
    "NOTES",
    "Codes",
    "Evaluation",
    "ProbeScore",
    "ReconstructionScore",
    "Result",
    "Score",
    "Scores",
    "Table",
    "derangement",
    "encode_clips",
    "evaluate",
    "mean_clip",
    "probe_accuracy",
    "probe_codes",
    "reconstruction_score",
    "swap_accuracy",
    "tables",
]
