"""TIMIT: read speech of 630 speakers, in clips of 200 ms."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, final

from attrs import field, frozen

from rwae_datasets.labelled_files import Recording
from rwae_datasets.speech_frontend import SpeechOptions
from rwae_datasets.speech_store import write_speech
from rwae_kit import Clips, DataError, DataInfo, Factor, StoredDataset
from rwae_kit.data import BUILDS, BadFiles, open_built

RATE = 16_000
DIALECTS = (
    "New England",
    "Northern",
    "North Midland",
    "South Midland",
    "Southern",
    "New York City",
    "Western",
    "Army Brat",
)
"""DR1 to DR8."""


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


CORE_TEST = _names(
    "MDAB0 MWBT0 FELC0 MTAS1 MWEW0 FPAS0 MJMP0 MLNT0 FPKT0 MLLL0 MTLS0 FJLM0 "
    "MBPM0 MKLT0 FNLP0 MCMJ0 MJDH0 FMGD0 MGRT0 MNJM0 FDHC0 MJLN0 MPAM0 FMLD0"
)
"""Two men and a woman of each dialect."""
VALIDATION = _names(
    "FAKS0 FDAC1 FJEM0 MGWT0 MJAR0 MMDB1 MMDM2 MPDF0 FCMH0 FKMS0 MBDG0 MBWM0 MCSH0 FADG0 FDMS0 FEDW0 MGJF0 MGLB0 MRTK0 MTAA0 "
    "MTDT0 MTHC0 MWJG0 FNMR0 FREW0 FSEM0 MBNS0 MMJR0 MDLS0 MDLF0 MDVC0 MERS0 FMAH0 FDRW0 MRCS0 MRJM4 FCAL1 MMWH0 FJSJ0 MAJC0 "
    "MJSW0 MREB0 FGJD0 FJMG0 MROA0 MTEB0 MJFC0 MRJR0 FMML0 MRWS1"
)
"""The usual 50 speakers of the folder TEST that are not in the core test set."""
_PLACE = re.compile(r"(?:^|/)(TRAIN|TEST)/DR([1-8])/([FM][A-Z]{3}\d)/(S[AIX]\d+)(?:\.WAV)?\.WAV$", re.IGNORECASE)


@final
class TIMIT(StoredDataset):
    """Speech of 630 people in 8 dialects of American English: 20 log spectra of 200 numbers, one every 10 ms.

    The sentences SA1 and SA2, which everybody reads, are left out. Trained is on the 462 speakers of the folder TRAIN; the usual 50
    speakers of TEST validate, and the core test set of 24 speakers with 8 sentences each tests, so no speaker is in two splits. The
    other 94 speakers of TEST are left out, or trained on.

    Source: R-WAE App. C, C-DSVAE Sec. 4; the front end of FHVAE (see `log_frames`); Garofolo et al. 1993 for the core test set, the
    50 speakers by their use in speech recognition. FHVAE's own script trains on the 94 too.
    """

    @frozen(kw_only=True)
    class Config(SpeechOptions):
        """How to make clips of the recordings."""

        train_on_rest: bool = field(
            default=False, metadata={"help": "train on the 94 speakers of TEST too that neither validate nor test", **BUILDS}
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    @classmethod
    def build(cls, config: Any, source: Path, target: Path) -> None:
        bad = BadFiles("timit", config.skip_bad)
        recordings = find_recordings(source, bad, config.train_on_rest)
        if not recordings and not bad.found:
            raise DataError(f"timit: {source} has no recordings. They should be TRAIN/DR1/FCJF0/SI1027.WAV and so on below it")
        speakers = tuple(sorted({recording.labels["speaker"] for recording in recordings}))
        write_speech(
            "timit",
            recordings,
            bad,
            target,
            config,
            rate=RATE,
            kinds={
                "speaker": Factor(classes=speakers, kind="static"),
                "dialect": Factor(classes=DIALECTS, kind="static"),
                "sex": Factor(classes=("female", "male"), kind="static"),
            },
            split_by="speaker",
            licence="LDC93S1: Linguistic Data Consortium",
            source="TIMIT, Garofolo et al. 1993",
        )

    def info(self) -> DataInfo:
        return open_built("timit", self.config).info

    def clips(self, split: str) -> Clips:
        return open_built("timit", self.config).clips(split)


def find_recordings(source: Path, bad: BadFiles, train_on_rest: bool) -> list[Recording]:
    """The recordings that are used, in the order of their names; of a file and its conversion (X.WAV, X.WAV.wav) only the first."""
    found: dict[tuple[str, ...], Recording] = {}
    for path in sorted(path for path in source.rglob("*") if path.suffix.lower() == ".wav"):
        place = _PLACE.search(path.relative_to(source.parent).as_posix())
        if place is None:
            bad.add(path, "it does not lie at TRAIN or TEST/DR1..8/SPEAKER/SENTENCE.WAV")
            continue
        folder, dialect, speaker, sentence = (part.upper() for part in place.groups())
        split = "test" if speaker in CORE_TEST else "validation" if speaker in VALIDATION else "train"
        if sentence.startswith("SA") or (split == "train" and folder == "TEST" and not train_on_rest):
            continue
        labels = {
            "speaker": speaker,
            "dialect": DIALECTS[int(dialect) - 1],
            "sex": "female" if speaker[0] == "F" else "male",
        }
        recording = Recording(path=path, split=split, name=f"{speaker}-{sentence}", labels=labels)
        found.setdefault((speaker, dialect, sentence), recording)
    dialects = Counter(speaker for speaker, _ in {(r.labels["speaker"], r.labels["dialect"]) for r in found.values()})
    for recording in found.values():
        if dialects[recording.labels["speaker"]] > 1:
            bad.add(recording.path, "its speaker is in the folders of several dialects")
    return [recording for recording in found.values() if dialects[recording.labels["speaker"]] == 1]
