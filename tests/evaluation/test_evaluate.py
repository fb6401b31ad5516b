from __future__ import annotations

import json

import pytest
import torch
from attrs import evolve

from rwae_kit.errors import DataError
from rwae_kit.evaluation import NOTES, Evaluation, evaluate, tables


class Counts:
    def __call__(self, static, dynamic, factors):
        return {"clips": len(static), "frames": dynamic.shape[0] * dynamic.shape[1], "factors": len(factors)}


@pytest.fixture
def splits(make_bars):
    return {"train": make_bars(400, seed=0), "test": make_bars(120, seed=1)}


@pytest.fixture
def evaluation(splits, oracle_class, judge):
    blind = oracle_class()
    blind.encode = lambda x, mask=None: type(blind).encode(blind, torch.zeros_like(x))
    return evaluate(oracle_class(), splits, judge, untrained=blind, metrics={"counts": Counts()})


def test_an_oracle_has_full_marks_and_no_leak_and_a_blind_model_has_none(evaluation):
    assert evaluation.clips == 120
    assert evaluation.kinds == {"direction": "dynamic", "brightness": "static"}
    assert evaluation.model.reconstruction.explained == 1.0
    assert evaluation.model.swap["swap"] == {"direction": 1.0, "brightness": 1.0}
    assert set(evaluation.model.leaks()) == {"direction", "brightness"}
    assert all(0 <= leak < 0.15 for leak in evaluation.model.leaks().values())
    own = {(s.code, s.factor, s.probe): s.accuracy for s in evaluation.model.probes}
    assert own["static", "brightness", "mlp"] == 1.0
    assert evaluation.untrained.reconstruction.explained < 0.2
    assert evaluation.untrained.swap["swap"]["brightness"] < 0.6
    assert evaluation.untrained.scale == {"static": 0.0, "dynamic": 0.0}
    assert evaluation.model.in_use == {"static": (1, 1), "dynamic": (8, 8)}
    assert evaluation.untrained.in_use == {"static": (0, 1), "dynamic": (0, 8)}
    assert evaluation.model.metrics == {"counts.clips": 120, "counts.frames": 480, "counts.factors": 2}


def test_the_mean_clip_is_that_of_the_training_split(splits, oracle_class):
    mean = splits["train"].frames.double().mean(0)
    error = float((splits["test"].frames - mean).square().sum() / 120)
    assert evaluate(oracle_class(), splits).mean_clip.sse == pytest.approx(error)


def test_an_evaluation_survives_json(evaluation):
    assert Evaluation.from_dict(json.loads(json.dumps(evaluation.to_dict()))) == evaluation
    alone = evolve(evaluation, untrained=None)
    assert Evaluation.from_dict(json.loads(json.dumps(alone.to_dict()))) == alone


def test_an_evaluation_of_before_dimensions_in_use_were_counted_is_read_and_shown(evaluation):
    older = json.loads(json.dumps(evaluation.to_dict()))
    for scores in (older["model"], older["untrained"]):
        del scores["in_use"]
    found = Evaluation.from_dict(older)
    assert tables(found)[0].rows[1][4:] == ["0", "0"]


def test_every_table_is_rectangular_explained_and_names_the_untrained_model(evaluation):
    made = {title: (headers, rows) for title, headers, rows in tables(evaluation)}
    assert list(made) == ["Reconstruction", "Swaps", "Leaks", "Probes", "Metrics"]
    for title, (headers, rows) in made.items():
        assert rows
        assert all(len(row) == len(headers) for row in rows)
        assert NOTES[title]
        assert "untrained" in json.dumps([headers, rows])
    assert made["Reconstruction"][1][0][:2] == ["model", "100.0 %"]
    assert made["Reconstruction"][1][-1][0] == "mean clip"
    assert made["Reconstruction"][0][4:] == ["static: std, in use", "dynamic: std, in use"]
    of_latents = [[cell.split(", ")[-1] for cell in row[4:]] for row in made["Reconstruction"][1]]
    assert of_latents == [["1 of 1", "8 of 8"], ["0 of 1", "0 of 8"], ["–", "–"]]
    assert made["Swaps"][0] == ["clips", "brightness (static)", "direction (dynamic)"]
    swaps = {row[0]: row[1:] for row in made["Swaps"][1]}
    assert swaps["swap"] == ["100.0 %", "100.0 %"]
    assert swaps["motion sampled"] == ["100.0 %", "–"]
    assert "untrained: swap" in swaps
    assert [row[:2] for row in made["Leaks"][1]] == [["direction", "static"], ["brightness", "dynamic mean"]]


def test_without_labels_or_judge_the_reconstruction_is_scored_all_the_same(splits, oracle_class):
    bare = {name: evolve(clips, factors={}) for name, clips in splits.items()}
    evaluation = evaluate(oracle_class(), bare)
    assert (evaluation.model.probes, evaluation.model.swap) == ((), {})
    assert [table.title for table in tables(evaluation)] == ["Reconstruction"]


def test_missing_splits_are_named(splits, oracle_class):
    with pytest.raises(DataError, match="'test'; there is 'train'"):
        evaluate(oracle_class(), {"train": splits["train"]})
    with pytest.raises(DataError, match="'train' or 'validation' beside 'test'"):
        evaluate(oracle_class(), {"test": splits["test"]})
    assert evaluate(oracle_class(), {"validation": splits["train"], "test": splits["test"]}).clips == 120
