"""What the tests of pages share: a reader of pages, a run folder, an evaluation and a result."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from rwae_kit.evaluation import Evaluation, ProbeScore, ReconstructionScore, Result, Score, Scores

VOID = {"meta", "img", "input", "line", "polyline", "path"}
RECIPE = """title = "Title <of> the recipe"
about = "Some words."

[data]
name = "toy"

[latents]
static = 1

[prior]
name = "lstm"

[encoder]
name = "autoregressive"
frames = { name = "conv" }

[penalty.static.scaled_mmd]
weight = 100.0

[training]
schedule = "joint"
epochs = 3
seed = 0
"""


class Page(HTMLParser):
    """All elements with their attributes, and the text; complains of tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self._open = [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        if not {"style"} & set(self._open):
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def toy_evaluation():
    def scores(explained, swap, leak):
        probes = [
            ProbeScore(code=code, factor=factor, kind=kind, probe=probe, accuracy=leak, chance=0.4)
            for code in ("static", "dynamic mean", "dynamic trajectory")
            for factor, kind in (("level", "static"), ("path", "dynamic"))
            for probe in ("linear", "mlp")
        ]
        return Scores(
            reconstruction=ReconstructionScore(explained=explained, mse=0.01, sse=3.0),
            scale={"static": 1.0, "dynamic": 0.5},
            in_use={"static": (3, 4), "dynamic": (2, 2)},
            probes=tuple(probes),
            swap={"real": {"level": 1.0, "path": 1.0}, "swap": {"level": swap, "path": 0.99}},
        )

    return Evaluation(
        data="toy",
        clips=12,
        seed=0,
        kinds={"level": "static", "path": "dynamic"},
        model=scores(0.934, 0.876, 0.45),
        mean_clip=ReconstructionScore(explained=0.0, mse=0.1, sse=30.0),
        untrained=scores(-0.2, 0.3, 0.6),
    )


def toy_result(**changes):
    rows = {
        "model": {"Acc": Score(value=0.992, low=0.98, high=1.0), "H(y|x)": Score(value=0.0551)},
        "copy <it>": {"Acc": Score(value=0.25)},
    }
    told = {"data_hash": "c" * 64, "draws": 3, "judge": "ab" * 32, "judge_accuracy": {"level": 0.998}, "settings": {"k": [1, 2]}}
    return Result(**{"protocol": "swap", "data": "toy", "clips": 12, "rows": rows, **told, **changes})


def write_run(folder, info):
    """A run folder without a model's weights and without pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "model.json").write_text(json.dumps({"info": info.to_dict()}))
    (folder / "environment.json").write_text(json.dumps({"python": "3.99", "packages": {"torch": "2.x"}}))
    lines = [{"step": s, "parts": {"penalty.static.scaled_mmd": 1.0 / s}} for s in range(1, 9)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 9, "par')
    (folder / "evaluation.json").write_text(json.dumps(toy_evaluation().to_dict()))
    return folder
