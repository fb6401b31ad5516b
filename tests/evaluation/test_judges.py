from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from attrs import evolve

from rwae_kit.data import Clips, DataInfo, Factor
from rwae_kit.errors import CheckpointError, DataError, TrainingError
from rwae_kit.evaluation.judges import (
    JudgeNet,
    JudgeSizes,
    JudgeTraining,
    find_judge,
    judge_path,
    load_judge,
    save_judge,
    train_judge,
)
from rwae_kit.evaluation.judges.training import MOST_CLASSES, _factor, _step, calibration_error, measure, settle, teachable
from rwae_kit.registry import Registry

SMALL = JudgeSizes(width=4, features=8, hidden=8)
QUICK = JudgeTraining(epochs=2, sizes=SMALL)


def with_hash(clips: Clips) -> Clips:
    return evolve(clips, info=evolve(clips.info, hash="ab" * 32))


@pytest.fixture
def splits(make_bars):
    return {
        name: with_hash(make_bars(n, seed)) for seed, (name, n) in enumerate({"train": 64, "validation": 32, "test": 48}.items())
    }


@pytest.fixture(scope="module")
def shapes():
    cls = Registry.installed().get("dataset", "moving_shapes")
    dataset = cls(cls.Config(train_clips=768, validation_clips=128, test_clips=256))
    names = ("colour", "direction")
    info = evolve(dataset.info(), factors={name: dataset.info().factors[name] for name in names})
    found = {name: dataset.clips(name) for name in ("train", "validation", "test")}
    return {
        name: evolve(clips, info=info, factors={factor: clips.factors[factor] for factor in names}) for name, clips in found.items()
    }


@pytest.fixture(scope="module")
def shapes_judge(shapes):
    return train_judge(shapes, JudgeTraining(epochs=5, learning_rate=3e-3, sizes=JudgeSizes(width=8, hidden=64)))


def test_a_small_judge_soon_reads_colour_and_direction_of_moving_shapes(shapes_judge, shapes):
    assert {name: factor.kind for name, factor in shapes_judge.card.factors.items()} == {"colour": "static", "direction": "dynamic"}
    assert all(score.test > 0.97 for score in shapes_judge.card.scores.values())
    clips = shapes["test"]
    judged = shapes_judge.predict(clips.batch(torch.arange(len(clips))).x)
    for name, score in shapes_judge.card.scores.items():
        assert float((judged[name] == clips.factors[name]).float().mean()) == pytest.approx(score.test, abs=1e-6)


def test_it_also_reads_clips_of_other_lengths(shapes_judge, shapes):
    x = shapes["test"].batch(torch.arange(200)).x
    right = shapes_judge.predict(torch.cat([x, x[:, -1:]], 1))["colour"] == shapes["test"].factors["colour"][:200]
    assert float(right.float().mean()) > 0.9


def test_a_judge_that_was_saved_and_read_gives_the_same_bits_under_the_same_name(shapes_judge, shapes, tmp_path):
    x = shapes["test"].batch(torch.arange(50)).x
    save_judge(shapes_judge, tmp_path / "judge")
    again = load_judge(tmp_path / "judge")
    assert again.card == shapes_judge.card
    save_judge(again, tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "judge"]
    for judge in (again, load_judge(tmp_path / "copy")):
        for name, logits in shapes_judge.read(x).logits.items():
            assert torch.equal(judge.read(x).logits[name], logits)
    for file in ("judge.json", "judge.safetensors"):
        assert (tmp_path / "copy" / file).read_bytes() == (tmp_path / "judge" / file).read_bytes()


def test_the_seed_decides_and_the_test_clips_have_no_say(splits, make_bars):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = train_judge(splits, QUICK)
    assert torch.equal(torch.random.get_rng_state(), before)
    other_test = {**splits, "test": with_hash(make_bars(48, seed=9))}
    assert train_judge(other_test, QUICK).card.hash == first.card.hash
    assert train_judge(splits, evolve(QUICK, seed=1)).card.hash != first.card.hash


def test_the_weights_that_are_kept_are_those_of_the_best_validation(splits):
    lines: list[str] = []
    train = splits["train"]  # with labels of other clips: what is learned there does not hold
    splits["train"] = evolve(train, factors={name: labels.roll(7) for name, labels in train.factors.items()})
    judge = train_judge(splits, evolve(QUICK, epochs=40, learning_rate=0.03, patience=2), say=lines.append)
    losses = [float(line.split("validation loss ")[1].split(",")[0]) for line in lines]
    assert judge.card.training["stopped"] == "patience"
    assert len(losses) == judge.card.training["epochs"] == losses.index(min(losses)) + 3
    assert judge.card.training["validation_loss"] == pytest.approx(min(losses), abs=1e-3)
    again = measure(judge.net, splits["validation"])
    assert sum(one.loss for one in again.values()) == pytest.approx(judge.card.training["validation_loss"], rel=1e-6)
    saved = {name: value.clone() for name, value in judge.net.state_dict().items()}
    settle(judge.net, splits["train"], evolve(QUICK, epochs=40))
    for name, value in judge.net.state_dict().items():
        torch.testing.assert_close(value, saved[name])


def test_statistics_are_means_over_training_batches_with_the_weights_as_they_are(splits):
    torch.manual_seed(0)
    net = JudgeNet(SMALL, (1, 2, 8), {"brightness": 3})
    before = {name: value.clone() for name, value in net.named_parameters()}
    settle(net, splits["train"], evolve(QUICK, batch_size=64))  # one batch
    assert all(torch.equal(value, before[name]) for name, value in net.named_parameters())
    first = net.frame_net[0]  # 2 x 8 pixels are halved by no convolution: the last one comes first
    seen = first(splits["train"].frames.flatten(0, 1)).detach()
    torch.testing.assert_close(net.frame_net[1].running_mean, seen.mean((0, 2, 3)))
    torch.testing.assert_close(net.frame_net[1].running_var, seen.transpose(0, 1).flatten(1).var(1))
    assert net.frame_net[1].momentum == 0.1


def test_time_that_is_over_ends_the_training_with_a_judge(splits):
    judge = train_judge(splits, evolve(QUICK, max_minutes=1e-9))
    assert (judge.card.training["stopped"], judge.card.training["steps"]) == ("max_minutes", 0)
    assert set(judge.card.scores) == {"direction", "brightness"}


def test_the_learning_rate_rises_and_falls_to_nothing():
    assert _factor(0.0) < 0.02
    assert _factor(0.03) == pytest.approx(1.0)
    assert _factor(0.515) == pytest.approx(0.5)
    assert _factor(1.0) == 0.0


def test_the_loss_is_the_cross_entropy_of_one_softmax(splits):
    net = JudgeNet(SMALL, (1, 2, 8), {"direction": 2, "brightness": 3}).eval()
    clips = splits["test"]
    with torch.no_grad():
        logits = net(clips.frames).logits
    for name, found in measure(net, clips).items():
        scores, labels = logits[name].double(), clips.factors[name]
        chosen = scores.exp()[torch.arange(len(labels)), labels] / scores.exp().sum(1)
        assert found.loss == pytest.approx(float(-chosen.log().mean()), abs=1e-9)
        assert found.accuracy == float((scores.argmax(1) == labels).double().mean())


def test_a_step_goes_down_the_cross_entropies_of_all_factors(splits, tolerance):
    torch.manual_seed(0)
    net = JudgeNet(SMALL, (1, 2, 8), {"direction": 2, "brightness": 3}).double().train()
    clips = evolve(splits["train"], frames=splits["train"].frames.double())
    loss = torch.zeros(())
    for name, logits in net(clips.frames).logits.items():
        chosen = logits.exp()[torch.arange(64), clips.factors[name]] / logits.exp().sum(1)
        loss = loss - chosen.log().mean()
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    before = [value.detach().clone() for value in net.parameters()]
    _step(net, torch.optim.SGD(net.parameters(), lr=1.0), clips, torch.arange(64))
    for value, old, gradient in zip(net.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(value.detach(), old - gradient, **tolerance[torch.float64])


def test_calibration_has_its_closed_forms():
    ones = torch.ones(10, dtype=torch.float64)
    assert calibration_error(ones, ones) == 0.0
    assert calibration_error(ones, 0 * ones) == 1.0
    sure = torch.tensor([0.9] * 10 + [0.5] * 10, dtype=torch.float64)
    right = torch.tensor([1.0] * 9 + [0.0] + [1.0] * 10, dtype=torch.float64)
    assert calibration_error(sure, right) == pytest.approx(0.25)  # the half that says 0.5 is always right


def test_at_64_pixels_the_frame_net_is_the_published_one_and_smaller_frames_have_fewer_layers():
    def shapes(*frame):
        net = JudgeNet(JudgeSizes(), frame, {"action": 9})
        return [tuple(p.shape) for p in net.frame_net.parameters() if p.ndim == 4], net

    kernels, net = shapes(3, 64, 64)
    assert kernels == [(64, 3, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (128, 512, 4, 4)]
    assert [tuple(p.shape) for p in net.heads.parameters()] == [(256, 512), (256,), (9, 256), (9,)]
    assert net.over_time.hidden_size == 256
    assert shapes(1, 32, 32)[0] == [(64, 1, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (128, 256, 4, 4)]
    assert shapes(1, 16, 24)[0][-1] == (128, 128, 4, 6)
    out = net(torch.rand(2, 3, 3, 64, 64))
    assert (out.logits["action"].shape, out.frames.shape) == ((2, 9), (2, 3, 128))
    assert float(out.frames.detach().abs().max()) <= 1


def test_frames_of_features_and_factors_of_any_name_are_judged():
    net = JudgeNet(SMALL, (20,), {"digit.2": 10, "train": 2})
    assert {name: tuple(one.shape) for name, one in net(torch.rand(4, 5, 20)).logits.items()} == {
        "digit.2": (4, 10),
        "train": (4, 2),
    }


@pytest.mark.parametrize("frame", [(5,), (1, 8, 8)])
def test_padding_changes_nothing_neither_logits_nor_gradients_nor_statistics(frame):
    torch.manual_seed(0)
    net = JudgeNet(SMALL, frame, {"a": 3}).double()
    x = torch.rand(6, 4, *frame, dtype=torch.float64)
    mask = (torch.arange(4) < torch.tensor([4, 3, 2, 4, 1, 4])[:, None]).double()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    found = []
    for filling in (0.0, 1e3):
        net.load_state_dict(state)
        net.zero_grad()
        reading = net(torch.where(mask.reshape(6, 4, *[1] * len(frame)) > 0, x, filling), mask)
        reading.logits["a"].square().sum().backward()
        found.append([reading.logits["a"], reading.frames, *[p.grad.clone() for p in net.parameters()], *net.buffers()])
        found[-1] = [value.detach().clone() for value in found[-1]]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert float(found[0][1][mask == 0].abs().max()) == 0
    net.load_state_dict(state)
    short = net.eval()(x[4:5, :1]).logits["a"]
    torch.testing.assert_close(net(x[4:5], mask[4:5]).logits["a"], short)


def test_a_judge_is_trained_on_clips_with_padding(splits):
    mask = torch.ones(64, 4)
    mask[::2, 3] = 0
    spoilt = evolve(splits["train"], mask=mask, frames=splits["train"].frames.clone())
    clean = train_judge({**splits, "train": spoilt}, QUICK).card.hash
    spoilt.frames[::2, 3] = 1e6
    assert train_judge({**splits, "train": spoilt}, QUICK).card.hash == clean


def test_factors_that_cannot_be_learned_are_left_out_with_a_reason():
    classes = {"good": 3, "held_out": 4, "many": MOST_CLASSES + 1, "one": 2, "partly": 3}
    info = DataInfo(
        name="made",
        frame=(2,),
        length=1,
        factors={k: Factor(classes=tuple(map(str, range(n))), kind="static") for k, n in classes.items()},
    )
    zeros = torch.zeros(4, dtype=torch.int64)

    def clips(held_out, **more):
        labels = {"good": torch.arange(4) % 3, "held_out": held_out, "many": zeros, "one": zeros, **more}
        return Clips(info=info, frames=torch.zeros(4, 1, 2), factors=labels)

    splits = {"train": clips(zeros + torch.arange(4) % 2, partly=zeros), "validation": clips(zeros), "test": clips(zeros + 3)}
    names, left_out = teachable(splits)
    assert names == ["good"]
    assert left_out == {
        "held_out": "training shows none of the classes of the test clips",
        "many": "501 classes, more than 500",
        "one": "training shows one class only",
        "partly": "not labelled in every split",
    }
    assert teachable(splits, ["good"]) == (["good"], dict.fromkeys(("held_out", "many", "one", "partly"), "not asked for"))
    with pytest.raises(DataError, match="factor 'many' cannot be judged: 501 classes, more than 500"):
        teachable(splits, ["good", "many"])
    with pytest.raises(DataError, match=r"factor 'goood' cannot be judged: Did you mean 'good'\?"):
        teachable(splits, ["goood"])
    bare = {name: evolve(one, factors={}) for name, one in splits.items()}
    with pytest.raises(DataError, match="made: there is nothing to judge: good: not labelled"):
        teachable(bare)


def test_what_cannot_be_trained_on_is_refused(splits):
    with pytest.raises(DataError, match="split 'test' are missing; given: train, validation"):
        train_judge({name: splits[name] for name in ("train", "validation")})
    nameless = {name: evolve(one, info=evolve(one.info, hash="")) for name, one in splits.items()}
    with pytest.raises(DataError, match="bars: the data declare no hash"):
        train_judge(nameless)
    broken = {**splits, "train": evolve(splits["train"], frames=splits["train"].frames * math.inf)}
    with pytest.raises(TrainingError, match="judge of bars: the loss is nan"):
        train_judge(broken, QUICK)


def test_other_data_and_other_frames_are_refused(splits):
    judge = train_judge(splits, QUICK)
    judge.check(splits["test"].info)
    with pytest.raises(
        DataError, match=r"j: this judge was trained on bars \(sha256 abababababab\.\.\.\), and these are others \(sha256"
    ):
        judge.check(evolve(splits["test"].info, hash="cd" * 32, name="others"), "j")
    with pytest.raises(DataError, match=r"clips are \(2, 4, 3, 2, 8\), but it reads \[n, t, 1, 2, 8\]"):
        judge.predict(torch.zeros(2, 4, 3, 2, 8))
    with pytest.raises(DataError, match="values that are not finite"):
        judge.predict(torch.full((2, 4, 1, 2, 8), math.nan))


def test_a_judge_is_found_by_the_hash_of_its_data(splits, tmp_path, monkeypatch):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path))
    info = splits["train"].info
    assert find_judge(info) is None
    judge = train_judge(splits, QUICK)
    save_judge(judge, judge_path(info))
    assert find_judge(info) == tmp_path / "judges" / f"bars-{info.hash[:16]}"
    assert find_judge(evolve(info, hash="cd" * 32)) is None


@pytest.fixture(scope="module")
def saved(tmp_path_factory, shapes_judge):
    folder = tmp_path_factory.mktemp("judges") / "judge"
    save_judge(shapes_judge, folder)
    return folder


def _rewrite(folder: Path, change) -> None:
    file = folder / "judge.json"
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


def _cut(folder: Path) -> None:
    weights = folder / "judge.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def _of_another(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "judge.safetensors")
    save_file({name: value * 2 for name, value in state.items()}, folder / "judge.safetensors")


DAMAGE = {
    "no card": (lambda folder: (folder / "judge.json").unlink(), "no judge.json: this is no judge"),
    "no weights": (lambda folder: (folder / "judge.safetensors").unlink(), "no judge.safetensors: this is no judge"),
    "no JSON": (lambda folder: (folder / "judge.json").write_text("{"), "cannot be read"),
    "newer": (lambda folder: _rewrite(folder, lambda v: v.update(format=99)), "format 99; this version reads up to 1"),
    "a key less": (lambda folder: _rewrite(folder, lambda v: v.pop("factors")), "KeyError: 'factors'. It is damaged"),
    "a key more": (lambda folder: _rewrite(folder, lambda v: v.update(x=1)), "TypeError.*It is damaged"),
    "other sizes": (lambda folder: _rewrite(folder, lambda v: v["sizes"].update(hidden=3)), "of another model"),
    "no sizes": (lambda folder: _rewrite(folder, lambda v: v["sizes"].update(hidden=0)), "It is damaged"),
    "other data": (lambda folder: _rewrite(folder, lambda v: v.update(data_hash="0" * 64)), "One of them was changed"),
    "cut": (_cut, "cannot be read"),
    "other weights": (_of_another, "One of them was changed"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_judge_is_refused(name, saved, tmp_path):
    import shutil

    damage, message = DAMAGE[name]
    folder = Path(shutil.copytree(saved, tmp_path / "judge"))
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        load_judge(folder)


def test_no_folder_and_a_folder_that_is_taken_are_refused(shapes_judge, saved, tmp_path):
    with pytest.raises(CheckpointError, match="no such folder"):
        load_judge(tmp_path / "nowhere")
    before = (saved / "judge.json").read_bytes()
    with pytest.raises(CheckpointError, match="there is something already"):
        save_judge(shapes_judge, saved)
    assert (saved / "judge.json").read_bytes() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written: Not a directory"):
        save_judge(shapes_judge, tmp_path / "file" / "judge")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
