"""Small stand-ins for licensed corpora: SPHERE files, voices, faces."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from PIL import Image


def voice(seconds: float, pitch: float, rate: int = 16_000, seed: int = 0) -> np.ndarray:
    """16-bit samples of a harmonic tone that glides, with some noise."""
    at = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * k * (pitch * at + 10 * np.sin(3 * at))) / k for k in range(1, 8))
    noise = np.random.default_rng(seed).normal(size=len(at))
    return np.rint(3000 * tone + 60 * noise).astype(np.int16)


def write_sphere(path: Path, samples: np.ndarray, *, order: str = "01", rate: int = 16_000, **fields: object) -> None:
    """A file as TIMIT's: NIST_1A, 1024 bytes of header, 16-bit samples. Further fields replace or add to the header's."""
    given = {
        "database_id": "TIMIT",
        "utterance_id": path.stem.lower(),
        "channel_count": 1,
        "sample_count": len(samples),
        "sample_rate": rate,
        "sample_n_bytes": 2,
        "sample_byte_format": order,
        "sample_sig_bits": 16,
    } | fields
    lines = [f"{name} -{f's{len(value)}' if isinstance(value, str) else 'i'} {value}" for name, value in given.items()]
    header = "\n".join(["NIST_1A", "   1024", *lines, "end_head", ""]).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.ljust(1024, b" ") + samples.astype("<i2" if order == "01" else ">i2").tobytes())


def write_wave(path: Path, samples: np.ndarray, rate: int = 8_000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


TIMIT_SPEAKERS = {
    "TRAIN/DR1": ("FCJF0", "MDPK0"),
    "TRAIN/DR7": ("MADC0",),
    "TEST/DR1": ("FAKS0", "MDAB0", "FELC0", "MREB1"),
    "TEST/DR2": ("FPAS0", "MABW0"),
    "TEST/DR4": ("FADG0",),
}
"""Of the TEST speakers three are core, two validate and two are neither: MREB1 and MABW0."""


def write_timit(root: Path) -> None:
    """A tree as TIMIT's: each speaker reads SA1, SI1, SI2 and SX3 of 0.5 to 0.8 s."""
    for folder, speakers in TIMIT_SPEAKERS.items():
        for i, speaker in enumerate(speakers):
            for k, sentence in enumerate(("SA1", "SI1", "SI2", "SX3")):
                pitch = (200 if speaker[0] == "F" else 110) + 10 * i
                samples = voice(0.5 + 0.1 * k, pitch, seed=k)
                write_sphere(root / folder / speaker / f"{sentence}.WAV", samples, order="10" if sentence == "SI2" else "01")


def write_mug(root: Path, subjects: int = 4, takes: int = 1, frames: int = 24) -> None:
    """A tree as MUG's: a face is a disc of the subject's colour whose mouth opens by the expression."""
    for s in range(subjects):
        for e, expression in enumerate(("anger", "disgust", "fear", "happiness", "sadness", "surprise")):
            for take in range(takes):
                folder = root / f"{s + 1:03d}" / expression / f"take{take:03d}"
                folder.mkdir(parents=True)
                for t in range(frames):
                    save_face(folder / f"img_{t:04d}.jpg", s, e, t)


def save_face(path: Path, subject: int, expression: int, t: int) -> None:
    y, x = np.mgrid[:72, :96]
    image = np.zeros((72, 96, 3), np.uint8)
    image[..., subject % 3] = 255 * ((x - 48) ** 2 + (y - 36) ** 2 < (20 + 3 * subject) ** 2)
    mouth = (abs(x - 48) < 3 + expression) & (abs(y - 46) < 1 + t // 6)
    image[mouth] = 255
    Image.fromarray(image).save(path, quality=95)


ACTIONS = ("jump", "walk")
PEOPLE = ("anna", "bert", "cleo")


def moving_square(person: int, action: int, take: int, frames: int, side: int = 24) -> np.ndarray:
    """Frames `[t, side, side, 3]`: a square of the person's colour that goes up or to the right, from a place by the take."""
    clip = np.zeros((frames, side, side, 3), np.uint8)
    for t in range(frames):
        along, across = (2 * t) % (side - 6), 3 * take
        y, x = (along, across) if action == 0 else (across, along)
        clip[t, y : y + 6, x : x + 6, person % 3] = 255
        clip[t, :, :, 2] |= np.uint8(10 * person)
    return clip


def write_strips(root: Path, frames: tuple[int, ...] = (12, 15, 9), takes: int = 2) -> None:
    """action/NN.png, strips of frames side by side; NN // takes is the person, who also says how many frames there are."""
    for a, action in enumerate(ACTIONS):
        (root / action).mkdir(parents=True, exist_ok=True)
        for p in range(len(PEOPLE)):
            for take in range(takes):
                clip = moving_square(p, a, take, frames[p])
                Image.fromarray(np.concatenate(list(clip), axis=1)).save(root / action / f"{p * takes + take:02d}.png")


def write_video(path: Path, clip: np.ndarray, codec: str = "mpeg4") -> None:
    """Frames `[t, height, width, 3]` as a video file; its ending says the container."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *clip.shape[1:3], "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_gif(path: Path, clip: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [Image.fromarray(frame) for frame in clip]
    images[0].save(path, save_all=True, append_images=images[1:], duration=40, loop=0)


def write_images(folder: Path, clip: np.ndarray, suffix: str = ".png") -> None:
    """Images 0, 1, ... 10, ... whose names do not sort by their letters."""
    folder.mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(clip):
        Image.fromarray(frame).save(folder / f"{t}{suffix}")


def write_videos(root: Path, frames: tuple[int, ...] = (12, 15, 9), takes: int = 2) -> None:
    """action/person_take, as an mp4 file, a GIF, or a folder of images by the person."""
    for a, action in enumerate(ACTIONS):
        for p, person in enumerate(PEOPLE):
            for take in range(takes):
                clip, path = moving_square(p, a, take, frames[p]), root / action / f"{person}_{take}"
                if p == 0:
                    write_video(path.with_suffix(".mp4"), clip)
                elif p == 1:
                    write_gif(path.with_suffix(".gif"), clip)
                else:
                    write_images(path, clip)
