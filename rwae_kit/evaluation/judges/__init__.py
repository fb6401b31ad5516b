"""Judges that are trained by one command: networks that read the factors of clips."""

from rwae_kit.evaluation.judges.files import check_free, find_judge, judge_path, load_judge, save_judge
from rwae_kit.evaluation.judges.judge import FactorScore, JudgeCard, TrainedJudge, read_classes
from rwae_kit.evaluation.judges.network import JudgeNet, JudgeSizes, Reading
from rwae_kit.evaluation.judges.training import JudgeTraining, train_judge

__all__ = [
    "FactorScore",
    "JudgeCard",
    "JudgeNet",
    "JudgeSizes",
    "JudgeTraining",
    "Reading",
    "TrainedJudge",
    "check_free",
    "find_judge",
    "judge_path",
    "load_judge",
    "read_classes",
    "save_judge",
    "train_judge",
]
