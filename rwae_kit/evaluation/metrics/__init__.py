"""Metrics: arrays in, numbers out, float64 inside. scikit-learn (extra `eval`) is imported only where trees are trained."""

from rwae_kit.evaluation.metrics.accuracy import Accuracies, accuracies
from rwae_kit.evaluation.metrics.baselines import BASELINES, trivial_codes
from rwae_kit.evaluation.metrics.bootstrap import bootstrap
from rwae_kit.evaluation.metrics.dci import Dci, completeness, dci, disentanglement
from rwae_kit.evaluation.metrics.eer import Roc, equal_error_rate, equal_error_score, roc
from rwae_kit.evaluation.metrics.frechet import frechet_distance, gaussian_frechet
from rwae_kit.evaluation.metrics.importances import Importances, importances
from rwae_kit.evaluation.metrics.inception import InceptionScores, identity_error, inception_intervals, inception_scores
from rwae_kit.evaluation.metrics.msd import (
    FactorMap,
    Intervention,
    benchmark_intervention,
    consistency,
    factor_map,
    frame_consistency,
    intervention,
    latent_vectors,
)

__all__ = [
    "BASELINES",
    "Accuracies",
    "Dci",
    "FactorMap",
    "Importances",
    "InceptionScores",
    "Intervention",
    "Roc",
    "accuracies",
    "benchmark_intervention",
    "bootstrap",
    "completeness",
    "consistency",
    "dci",
    "disentanglement",
    "equal_error_rate",
    "equal_error_score",
    "factor_map",
    "frame_consistency",
    "frechet_distance",
    "gaussian_frechet",
    "identity_error",
    "importances",
    "inception_intervals",
    "inception_scores",
    "intervention",
    "latent_vectors",
    "roc",
    "trivial_codes",
]
