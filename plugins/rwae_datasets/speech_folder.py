"""Speech from a folder of WAVE files that are labelled by their names or by a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

from attrs import field, frozen
from attrs.validators import ge

from rwae_datasets.labelled_files import LabelOptions, factors_of, find_recordings, fits_pattern, group_of, with_splits
from rwae_datasets.speech_frontend import SpeechOptions
from rwae_datasets.speech_store import write_speech
from rwae_kit import Clips, DataInfo, StoredDataset
from rwae_kit.data import BUILDS, BadFiles, open_built


@final
class SpeechFolder(StoredDataset):
    """Recordings of speech in a folder, such as the Free Spoken Digit Dataset, in clips of 200 ms.

    Labels come from the files' names by a pattern, or from a table. Every label is a factor, static or dynamic, but for those to
    leave out. Splits are by recording, or by a label, so that no speaker, say, is in two of them.

    Source: ours; the front end is that of `timit`. The splits are drawn anew, they are not those of the corpus.
    """

    @frozen(kw_only=True)
    class Config(LabelOptions, SpeechOptions):
        """Where labels stand, and how to make clips."""

        rate: int = field(default=8_000, validator=ge(1_000), metadata={"help": "samples a second, of all files", **BUILDS})
        pattern: str = field(
            default="{digit}_{speaker}_{take}",
            validator=fits_pattern,
            metadata={"help": "labels in a file's name; with a / in its path below the source", **BUILDS},
        )
        static: tuple[str, ...] = field(
            default=("speaker",), metadata={"help": "factors that stay over a clip; the others are dynamic", **BUILDS}
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    @classmethod
    def build(cls, config: Any, source: Path, target: Path) -> None:
        bad = BadFiles("speech_folder", config.skip_bad)
        paths = [path for path in source.rglob("*") if path.suffix.lower() == ".wav"]
        found = find_recordings(config, source, bad, paths)
        if not found:
            bad.settle(0)
        kinds = factors_of("speech_folder", config, found)
        write_speech(
            "speech_folder",
            with_splits("speech_folder", config, found),
            bad,
            target,
            config,
            rate=config.rate,
            kinds=kinds,
            split_by=group_of(config, kinds),
            licence="the user's",
            source="the user's",
        )

    def info(self) -> DataInfo:
        return open_built("speech_folder", self.config).info

    def clips(self, split: str) -> Clips:
        return open_built("speech_folder", self.config).clips(split)
