"""What benchmarks that ask a judge share: test clips, and the judge that reads them."""

from __future__ import annotations

from rwae_kit import Clips, Registry, SequenceAutoencoder
from rwae_kit.evaluation.judges import TrainedJudge, find_judge, load_judge
from rwae_kit.run import dataset_of


def judged_clips(model: SequenceAutoencoder) -> tuple[Clips, TrainedJudge]:
    """The test split of what the model was trained on, and the judge of these data."""
    clips = dataset_of(model, Registry.installed()).clips("test")
    folder = find_judge(clips.info)
    if folder is None:
        raise SystemExit(f"there is no judge of {clips.info.name}: rwk judge train, or rwk reproduce, trains one")
    return clips, load_judge(folder, "cpu")
