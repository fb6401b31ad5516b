"""Pages as a browser shows them. Runs where there is a Chromium: `chromium`, `google-chrome`, or what RWAE_CHROMIUM names."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from report_toys import write_run

from rwae_kit.evaluation import Table
from rwae_kit.report import write_report
from rwae_kit.report.compare import compare_page

CHROMIUM = os.environ.get("RWAE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
PHONE, DESKTOP = (390, 844), (1280, 900)
SCHEMES = {"light": "--blink-settings=preferredColorScheme=1", "dark": "--blink-settings=preferredColorScheme=0"}

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium: install one, or name it in RWAE_CHROMIUM")

# A window is never as narrow as a phone, a frame in it can be. Its page has no script of its own: the window's looks into it.
FRAME = """<!doctype html><body style="margin: 0; background: #888">
<iframe id="page" style="border: 0; width: {width}px; height: {height}px" srcdoc="{page}"></iframe>
<script>
document.getElementById("page").addEventListener("load", event => {{
  const inside = event.target.contentDocument, root = inside.documentElement, seen = document.body.dataset
  const shown = name => {{ const one = inside.querySelector("img." + name); return one ? getComputedStyle(one).display : "absent" }}
  seen.wide = root.scrollWidth
  seen.room = root.clientWidth
  seen.broken = [...inside.images].filter(one => !one.complete || !one.naturalWidth).length
  seen.before = shown("moving") + " " + shown("calm")
  const hold = inside.querySelector("input.hold")
  if (hold) hold.click()
  seen.after = shown("moving") + " " + shown("calm")
  const skip = inside.querySelector("a.skip")
  seen.hidden = skip.getBoundingClientRect().bottom
  skip.focus()
  seen.focused = skip.getBoundingClientRect().top
  seen.outside = [...inside.querySelectorAll("main *")].filter(one =>
    one.getBoundingClientRect().right > root.clientWidth + 1 && !one.closest(".scroll, .picture, pre, svg")).length
}})
</script>
"""


@pytest.fixture(scope="module")
def pages(world, tmp_path_factory):
    """A run's page and a comparison's, with words too long for a phone."""
    folder = tmp_path_factory.mktemp("runs")
    model, clips = world()
    runs = [
        write_run(folder / name, clips.info) for name in ("first", "a_run_with_a_name_that_is_longer_than_a_phone_is_wide_0000000")
    ]
    warning = "the file /" + "very_long_path/" * 12 + " was ignored"
    report, _ = (write_report(run, model, clips, warnings=[warning], long=6).read_text(encoding="utf-8") for run in runs)
    table = Table("A table", ["", *(f"column {n}" for n in range(20))], [["row", *("0.1234 [0.1, 0.2]" for _ in range(20))]])
    return {"report": report, "compare": compare_page([table], runs, notes=[["note " * 50]])}


def _browse(folder, page, size, *flags):
    width, height = size
    file = folder / "frame.html"
    file.write_text(FRAME.format(width=width, height=height, page=html.escape(page)), encoding="utf-8")
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=4000"]
    window = f"--window-size={max(width, 500)},{height}"
    command = [CHROMIUM, *words, window, f"--user-data-dir={folder / 'profile'}", *flags, file.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def _measured(folder, page, size, *flags):
    found = _browse(folder, page, size, "--dump-dom", *flags)
    return dict(re.findall(r'data-(\w+)="([^"]*)"', re.search(r"<body[^>]*>", found).group()))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_a_page_is_drawn_in_the_colours_that_were_asked_for(pages, tmp_path, size, scheme):
    _browse(tmp_path, pages["report"], size, SCHEMES[scheme], f"--screenshot={tmp_path / 'shot.png'}")
    with Image.open(tmp_path / "shot.png") as image:
        pixels = np.asarray(image.convert("RGB"))[: size[1], : size[0]]
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20
    corner = pixels[2, 2].mean()
    assert corner < 40 if scheme == "dark" else corner > 220


@pytest.mark.parametrize("name", ["report", "compare"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_a_page_never_scrolls_sideways_and_everything_in_it_is_shown(pages, tmp_path, name, size):
    seen = _measured(tmp_path, pages[name], size, SCHEMES["light"])
    assert int(seen["room"]) == size[0]
    assert int(seen["wide"]) <= int(seen["room"])
    assert seen["outside"] == "0"
    assert seen["broken"] == "0"


def test_an_animation_stops_and_the_skip_link_comes_when_it_is_reached(pages, tmp_path):
    seen = _measured(tmp_path, pages["report"], DESKTOP, SCHEMES["light"])
    assert (seen["before"], seen["after"]) == ("block none", "none block")
    assert float(seen["hidden"]) <= 0 <= float(seen["focused"])


def test_an_animation_stands_still_from_the_start_for_those_who_want_less_motion(pages, tmp_path):
    seen = _measured(tmp_path, pages["report"], DESKTOP, SCHEMES["light"], "--force-prefers-reduced-motion")
    assert (seen["before"], seen["after"]) == ("none block", "block none")
