"""Sound files: NIST SPHERE and RIFF WAVE, uncompressed, one channel, 16 bits.

Why not soundfile: libsndfile 1.2 reads both, but takes a file that is cut short, or one of mu-law, for a shorter or a longer
recording without a word, and cannot read shortened SPHERE files either. A header that promises more than is there stops a build.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from rwae_kit import DataError

Floats = NDArray[np.float32]
_CONVERT = (
    "Convert it to uncompressed WAVE of one channel and 16 bits, for example: sph2pipe -f wav IN OUT, or sox IN -b 16 -c 1 OUT"
)


@frozen(kw_only=True, eq=False)
class Sound:
    """Samples `[n]` in [-1, 1), and how many there are in a second."""

    samples: Floats
    rate: int


def read_sound(path: Path) -> Sound:
    """A SPHERE or WAVE file; its first bytes tell which, not its name.

    Raises:
        DataError: it cannot be read, is compressed, damaged or empty, or has another number of channels or bits.
    """
    try:
        data = path.read_bytes()
        if data.startswith(b"NIST_1A"):
            sound = _sphere(data)
        elif data.startswith(b"RIFF"):
            sound = _wave(path)
        else:
            raise DataError(f"neither NIST SPHERE nor WAVE: it begins with {data[:7]!r}" if data else "the file is empty")
    except (OSError, EOFError, wave.Error) as error:
        raise DataError(f"cannot be read: {error}") from error
    if len(sound.samples) == 0:
        raise DataError("there are no samples")
    return sound


def _sphere(data: bytes) -> Sound:
    """A header of lines "name -type value" up to "end_head" in as many bytes as its second line says; then the samples.

    Source: NIST SPHERE 2.x. `sample_coding` is pcm where it is missing, as in TIMIT.
    """
    lines = data[:1_000_000].split(b"\nend_head", 1)[0].decode("latin-1").split("\n")
    try:
        size = int(lines[1])
        fields = {name: value for name, _, value in (line.split(None, 2) for line in lines[2:] if line and line[0] != ";")}
        channels, width, count = (int(fields[name]) for name in ("channel_count", "sample_n_bytes", "sample_count"))
        rate = int(fields["sample_rate"])
        order = fields.get("sample_byte_format", "01").strip()
    except (IndexError, KeyError, ValueError) as error:
        raise DataError(f"its SPHERE header is damaged ({type(error).__name__}: {error})") from error
    coding = fields.get("sample_coding", "pcm").strip()
    if coding != "pcm":
        raise DataError(f"its sample_coding is {coding!r}, but only 'pcm' can be read. {_CONVERT}")
    if (channels, width) != (1, 2) or order not in ("01", "10"):
        raise DataError(
            f"it has {channels} channels of {width} bytes in the order {order!r}; 1, 2 and '01' or '10' can be read. {_CONVERT}"
        )
    if len(data) - size < 2 * count:
        raise DataError(f"it is cut short: its header says {count} samples, but {max(0, len(data) - size) // 2} are there")
    values = np.frombuffer(data, "<i2" if order == "01" else ">i2", count, size)
    return Sound(samples=_unit(values), rate=rate)


def _wave(path: Path) -> Sound:
    with wave.open(str(path), "rb") as file:
        channels, width, count, rate = file.getnchannels(), file.getsampwidth(), file.getnframes(), file.getframerate()
        if (channels, width) != (1, 2):
            raise DataError(f"it has {channels} channels of {width} bytes; 1 and 2 can be read. {_CONVERT}")
        data = file.readframes(count)
    if len(data) < 2 * count:
        raise DataError(f"it is cut short: its header says {count} samples, but {len(data) // 2} are there")
    return Sound(samples=_unit(np.frombuffer(data, "<i2")), rate=rate)


def _unit(values: NDArray[np.int16]) -> Floats:
    return np.asarray(values, dtype=np.float32) / np.float32(32768)
