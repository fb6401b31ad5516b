"""What is said of each picture: where it stands, what is to be seen (for those who cannot see it), and what to look for."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """`section` is the heading that a picture stands under, `alt` its description, `caption` what to look for."""

    section: str
    alt: str
    caption: str


_STILL = " Each picture is a whole clip: time to the right, low frequencies (the first features) at the bottom."

_CODES = Words(
    "Codes",
    "Held-out clips as points on a plane, by t-SNE of their static codes (above) and of their dynamic ones (below, all frames of a "
    "clip together): a panel for each factor, coloured by its classes.",
    "Static factors should form groups of one colour by the static codes and be mixed by the dynamic ones, dynamic ones the other "
    "way round. Below each panel: how often the nearest code, before t-SNE, is that of a clip of the same class.",
)

FRAMES = {
    "reconstructions": Words(
        "Reconstructions",
        "Film strips of four held-out clips, each over its reconstruction by the model.",
        "Held-out clips, each over its reconstruction.",
    ),
    "swap": Words(
        "Swap",
        "Film strips in groups of four rows: clip A, A's static with B's dynamic code, B's static with A's dynamic code, B.",
        "The second row should look like A and move like B, the third look like B and move like A.",
    ),
    "matrix": Words(
        "Swap",
        "A table of clips: the first row gives the motion, the first column the looks, every other cell combines the two.",
        "Each row should keep its looks, each column its motion.",
    ),
    "samples": Words(
        "Samples",
        "Clips drawn from the priors, {t} frames long.",
        "Static and dynamic codes drawn from the priors, as long as the clips of the data; then the first of them frame by frame.",
    ),
    "samples_long": Words(
        "Samples",
        "Clips drawn from the priors, {t} frames long.",
        "Others, {t} frames long: the learned prior goes on where the training clips ended.",
    ),
    "traversal": Words(
        "Traversal",
        "A table of clips: in each row one feature of a code goes from two standard deviations below its mean to two above it.",
        "The features that vary most, one at a time, in standard deviations. Static ones should change looks, dynamic ones motion.",
    ),
    "codes": _CODES,
}
"""Pictures of clips of images."""

VECTORS = {
    "reconstructions": Words(
        "Reconstructions",
        "Held-out clips side by side as spectrograms, each over its reconstruction by the model.",
        "Held-out clips, each over its reconstruction." + _STILL,
    ),
    "swap": Words(
        "Swap",
        "Spectrograms in columns of four: clip A, A's static with B's dynamic code, B's static with A's dynamic code, B.",
        "What stays (a voice) should follow the letter in front, what passes (the words) the other one." + _STILL,
    ),
    "matrix": Words(
        "Swap",
        "A table of spectrograms: the first column gives the static code, the first row the dynamic one, other cells combine both.",
        "Each row should keep what stays over a clip (a voice), each column what passes (the words)." + _STILL,
    ),
    "samples": Words(
        "Samples",
        "Spectrograms of clips drawn from the priors, {t} frames long.",
        "Static and dynamic codes drawn from the priors, as long as the clips of the data." + _STILL,
    ),
    "samples_long": Words(
        "Samples",
        "Spectrograms of clips drawn from the priors, {t} frames long.",
        "Others, {t} frames long: the learned prior goes on where the training clips ended.",
    ),
    "traversal": Words(
        "Traversal",
        "A table of spectrograms: in each row one feature of a code goes from two standard deviations below its mean to two above.",
        "The features that vary most, one at a time, in standard deviations. Static ones should change what stays over a clip, "
        "dynamic ones what passes.",
    ),
    "codes": _CODES,
}
"""Pictures of clips of vectors, drawn as spectrograms."""


def words(name: str, frame: tuple[int, ...], t: int = 0) -> Words:
    """What is said of the picture of this name, for frames of this shape; `t` is its length where that is told."""
    section, *said = (FRAMES if len(frame) == 3 else VECTORS)[name]
    return Words(section, *(text.format(t=t) for text in said))
