"""What a person sees."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from rwae_kit.training.progress import PlainReporter, Reporter, RichReporter, make_reporter


def record(step: int, **more) -> dict:
    return {"step": step, "epoch": step // 10, "seconds": 1.0, "parts": {"total": 5.0, "critic": 0.25, "scale.static": 1.0}, **more}


def test_plain_lines_come_every_ten_seconds_with_losses_speed_and_time_left():
    now, stream = [0.0], io.StringIO()
    reporter = PlainReporter(stream, lambda: now[0])
    reporter.begin(100, 0, 32)
    for step in range(10, 60, 10):
        now[0] += 5
        reporter.losses(record(step))
    assert stream.getvalue().splitlines() == [
        "step 20/100 epoch 2: total 5 critic 0.25 (64 clips/s, 0:40 left)",
        "step 40/100 epoch 4: total 5 critic 0.25 (64 clips/s, 0:30 left)",
    ]


def test_a_validation_is_always_told():
    now, stream = [0.0], io.StringIO()
    reporter = PlainReporter(stream, lambda: now[0])
    reporter.begin(100, 50, 32)
    now[0] = 1.0
    reporter.losses({"step": 60, "epoch": 6, "seconds": 1.0, "validation": {"total": 2.5}, "best": True})
    assert stream.getvalue() == "step 60/100 epoch 6: validation: total 2.5 (best so far) (320 clips/s, 0:04 left)\n"


def test_the_live_display_shows_losses_and_says_things_above_itself():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    reporter = RichReporter(console)
    reporter.begin(100, 0, 32)
    reporter.losses(record(10))
    reporter.advance(10)
    reporter.warn("watch [this]")
    reporter.losses({"step": 10, "epoch": 1, "seconds": 1.0, "validation": {"total": 2.5}, "best": False})
    reporter.end()
    text = console.file.getvalue()
    assert "10/100" in text
    assert "total 5 critic 0.25" in text
    assert "warning: watch [this]" in text
    assert "validation: total 2.5" in text


@pytest.mark.parametrize(
    ("terminal", "quiet", "kind"), [(True, False, RichReporter), (False, False, PlainReporter), (True, True, Reporter)]
)
def test_the_reporter_fits_the_place(monkeypatch, terminal, quiet, kind):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert type(make_reporter(quiet=quiet)) is kind
