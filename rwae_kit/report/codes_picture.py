"""The maps of codes as one picture: a row for each latent, a column for each factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from rwae_kit.report.codes_map import Panel
from rwae_kit.report.drawing import FONT_SIZE, GREY

SIDE, MARGIN, SPACE = 168, 7, 8
"""Pixels of a panel, from its edge to its dots, and between two panels."""
FEW = 300
"""Clips that have room for larger dots."""
SMALL = FONT_SIZE - 2
GROUND = (255, 255, 255, 255)
"""Of a panel: ten colours that are told apart on white are not told apart on black as well."""
COLOURS = ("#c2500f", "#1f6f8b", "#5b7f2b", "#7a4fa3", "#d6246e", "#2f56c4", "#c79a00", "#17a673", "#7d2a1c", "#3a3733")
OTHERS = "#b5b0a7"


def codes_picture(rows: Mapping[str, Sequence[Panel]]) -> Image.Image:
    """The maps of each latent, by its name, over the same factors; below each the share of nearest codes of the same class.

    Classes of one factor have the same colours in all rows: the ten most frequent one each, the others a grey.
    """
    font, small = ImageFont.load_default(FONT_SIZE), ImageFont.load_default(SMALL)
    left = max(int(font.getlength(name)) for name in rows) + 14
    above, below = FONT_SIZE + 8, SMALL + 10
    across = max(map(len, rows.values()))
    size = (left + across * (SIDE + SPACE) - SPACE, above + len(rows) * (SIDE + below))
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for row, (name, panels) in enumerate(rows.items()):
        top = above + row * (SIDE + below)
        draw.text((left - 10, top + SIDE // 2), name, fill=GREY, font=font, anchor="rm")
        for column, panel in enumerate(panels):
            x = left + column * (SIDE + SPACE)
            if row == 0:
                draw.text((x + SIDE // 2, above - 6), f"{panel.factor} ({panel.kind})", fill=GREY, font=font, anchor="ms")
            _draw(draw, panel, x, top)
            told = f"{panel.agreement:.0%}, by chance {panel.chance:.0%}"
            draw.text((x + SIDE // 2, top + SIDE + SMALL + 2), told, fill=GREY, font=small, anchor="ms")
    return image


def _draw(draw: ImageDraw.ImageDraw, panel: Panel, x: int, top: int) -> None:
    draw.rectangle((x, top, x + SIDE - 1, top + SIDE - 1), fill=GROUND, outline=GREY)
    rim = 2 if sum(len(points) for _, points in panel.points) <= FEW else 1
    for colour, points in panel.points:
        fill = OTHERS if colour == "others" else COLOURS[int(colour)]
        for across, down in (MARGIN + points * (SIDE - 1 - 2 * MARGIN)).round().tolist():
            draw.ellipse((x + across - rim, top + down - rim, x + across + rim, top + down + rim), fill=fill)
