"""Speech from a folder of WAVE files that are labelled by their names or by a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

from attrs import evolve, field, frozen
from attrs.validators import and_, ge, gt, lt

from rwae_datasets.speech_frontend import SpeechOptions
from rwae_datasets.speech_store import Recording, write_speech
from rwae_kit import Clips, DataError, DataInfo, Factor, StoredDataset
from rwae_kit.data import BUILDS, BadFiles, labels_of, open_built, read_pattern, read_table, split_groups


def _pattern(instance: object, attribute: object, value: str) -> None:
    read_pattern(value)


@final
class SpeechFolder(StoredDataset):
    """Recordings of speech in a folder, such as the Free Spoken Digit Dataset, in clips of 200 ms.

    Labels come from the files' names by a pattern, or from a table. Every label is a factor, static or dynamic, but for those to
    leave out; "utterance" tells the recording a clip was cut from. Splits are by recording, or by a label, so that no speaker, say,
    is in two of them.

    Source: ours; the front end is that of `timit`. The splits are drawn anew, they are not those of the corpus.
    """

    @frozen(kw_only=True)
    class Config(SpeechOptions):
        """Where labels stand, and how to make clips."""

        rate: int = field(default=8_000, validator=ge(1_000), metadata={"help": "samples a second, of all files", **BUILDS})
        pattern: str = field(
            default="{digit}_{speaker}_{take}",
            validator=_pattern,
            metadata={"help": "labels in a file's name; with a / in its path below the source", **BUILDS},
        )
        table: str = field(
            default="",
            metadata={"help": "instead: a CSV file in the source folder, with the column path and one for each label", **BUILDS},
        )
        leave_out: tuple[str, ...] = field(default=("take",), metadata={"help": "labels that are no factors", **BUILDS})
        static: tuple[str, ...] = field(
            default=("speaker",), metadata={"help": "factors that stay over a clip; the others are dynamic", **BUILDS}
        )
        split_by: str = field(default="recording", metadata={"help": "recording, or a label that no two splits share", **BUILDS})
        test: float = field(default=0.2, validator=and_(gt(0.0), lt(0.9)), metadata={"help": "share that tests", **BUILDS})
        validation: float = field(
            default=0.1, validator=and_(gt(0.0), lt(0.5)), metadata={"help": "share that validates", **BUILDS}
        )
        seed: int = field(default=0, validator=ge(0), metadata={"help": "of the splits", **BUILDS})

    def __init__(self, config: Config) -> None:
        self.config = config

    @classmethod
    def build(cls, config: Any, source: Path, target: Path) -> None:
        bad = BadFiles("speech_folder", config.skip_bad)
        found = find_recordings(config, source, bad)
        if not found:
            bad.settle(0)
        names = sorted({name for recording in found for name in recording.labels})
        factors = [name for name in names if name not in config.leave_out]
        if unknown := [
            name for name in (*config.leave_out, *config.static) if name not in names and name not in ("take", "speaker")
        ]:
            raise DataError(f"speech_folder: leave_out and static name {', '.join(unknown)}, but the labels are {', '.join(names)}")
        if config.split_by != "recording" and config.split_by not in names:
            raise DataError(
                f"speech_folder: split_by = {config.split_by!r}, but it should be recording or one of {', '.join(names)}"
            )
        groups = [one.utterance if config.split_by == "recording" else one.labels[config.split_by] for one in found]
        try:
            split = split_groups(groups, {"validation": config.validation, "test": config.test}, config.seed)
        except DataError as error:
            raise DataError(f"speech_folder: split_by = {config.split_by!r}: {error}") from error
        kinds: dict[str, Factor] = {}
        for name in factors:
            classes = tuple(sorted({one.labels[name] for one in found}))
            kinds[name] = Factor(classes=classes, kind="static" if name in config.static else "dynamic")
        recordings = [
            evolve(one, split=split[group], labels={name: one.labels[name] for name in factors})
            for one, group in zip(found, groups, strict=True)
        ]
        write_speech(
            "speech_folder",
            recordings,
            bad,
            target,
            config,
            rate=config.rate,
            kinds=kinds,
            licence="the user's",
            source="the user's",
        )

    def info(self) -> DataInfo:
        return open_built("speech_folder", self.config).info

    def clips(self, split: str) -> Clips:
        return open_built("speech_folder", self.config).clips(split)


def find_recordings(config: Any, source: Path, bad: BadFiles) -> list[Recording]:
    """The files that have labels, in the order of their names, or of the table; their splits are still to be drawn."""
    if config.table:
        rows = read_table(source / config.table)
        return [
            Recording(
                path=source / row["path"], split="", utterance=row["path"], labels={k: v for k, v in row.items() if k != "path"}
            )
            for row in rows
        ]
    pattern = read_pattern(config.pattern)
    found = []
    for path in sorted(path for path in source.rglob("*") if path.suffix.lower() == ".wav"):
        labels = labels_of(path, source, pattern, "/" in config.pattern)
        if labels is None:
            bad.add(path, f"its name does not fit {config.pattern!r}")
        else:
            found.append(Recording(path=path, split="", utterance=path.relative_to(source).as_posix(), labels=labels))
    return found
