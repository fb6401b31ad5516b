from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from rwae_kit.cli import main
from rwae_kit.errors import DataError
from rwae_kit.evaluation import BASELINES, Result, read_codes, result_table, score_codes

N, T = 120, 3


@pytest.fixture(scope="module")
def arrays():
    """A static code of the speaker; a dynamic code of the digit into which half of the speaker's identity leaks."""
    generator = np.random.default_rng(0)
    speaker, digit = generator.integers(4, size=N), generator.integers(3, size=N)
    leaked = np.where(generator.random(N) < 0.5, speaker, generator.integers(4, size=N))
    dynamic = np.concatenate([np.eye(3)[digit], np.eye(4)[leaked]], axis=1)
    return {
        "static": np.eye(4, dtype=np.float32)[speaker] + 0.01 * generator.normal(size=(N, 4)),
        "dynamic": np.repeat(dynamic[:, None], T, axis=1).astype(np.float32),
        "factor.speaker": speaker,
        "factor.digit": digit.astype(np.uint8),
        "split": np.arange(N) % 2,
        "static_factors": np.array(["speaker"]),
        "dynamic_factors": np.array(["digit"]),
    }


@pytest.fixture
def save(tmp_path):
    def write(values):
        file = tmp_path / "mine.npz"
        np.savez(file, **{name: value for name, value in values.items() if value is not None})
        return file

    return write


def test_codes_of_another_program_are_scored_beside_trivial_ones(arrays, save):
    probe, eer, dci = score_codes(save(arrays), draws=100)
    assert [result.protocol for result in (probe, eer, dci)] == ["probe", "eer", "dci"]
    assert all(tuple(result.rows) == ("model", *BASELINES) for result in (probe, eer, dci))
    assert all(result.clips == 60 and result.data == "mine" for result in (probe, eer, dci))
    own = probe.rows["model"]
    assert own["speaker from static, linear"].value == own["digit from dynamic mean, linear"].value == 1.0
    chance = own["chance of speaker"].value
    assert own["speaker from dynamic mean, linear"].value == pytest.approx(0.5 + 0.5 * 0.25, abs=0.15)
    assert own["leak of speaker"].value >= own["speaker from dynamic mean, linear"].value - chance
    assert own["leak of speaker"].low < own["leak of speaker"].value < own["leak of speaker"].high
    assert probe.rows["oracle"]["leak of speaker"].value < 0.15
    assert probe.rows["copy"]["leak of speaker"].value == pytest.approx(1 - chance)
    assert eer.rows["model"]["static EER of speaker"].value == 0.0
    assert 0.1 < eer.rows["model"]["dynamic EER of speaker"].value < 0.45
    assert eer.rows["constant"]["dynamic EER of speaker"].value == 0.5
    assert dci.rows["model"]["informativeness"].value == 1.0
    assert dci.rows["constant"]["disentanglement"].value == 0.0
    assert probe.settings["factors"] == {"speaker": "static", "digit": "dynamic"}
    assert Result.from_dict(json.loads(json.dumps(eer.to_dict()))) == eer


def test_a_leak_that_only_the_course_of_the_dynamic_code_tells_is_found(arrays, save):
    course = np.where(arrays["factor.speaker"][:, None] < 2, [1, 0, -1], [-1, 0, 1])  # its mean is 0 for everybody
    dynamic = np.concatenate([arrays["dynamic"][..., :3], course[..., None]], axis=2)
    probe, *_ = score_codes(save({**arrays, "dynamic": dynamic}), draws=10)
    own = probe.rows["model"]
    assert own["speaker from dynamic mean, mlp"].value < 0.45
    assert own["leak of speaker"].value > 0.15


def test_the_hash_is_that_of_the_clips_and_not_of_the_codes(arrays, save):
    one = read_codes(save(arrays)).hash
    assert read_codes(save({**arrays, "static": arrays["static"] + 1})).hash == one
    other = arrays["factor.speaker"].copy()
    other[0] = (other[0] + 1) % 4
    assert read_codes(save({**arrays, "factor.speaker": other})).hash != one


def test_the_split_and_the_padding_of_the_file_are_kept(arrays, save):
    mask = np.ones((N, T))
    mask[:, 2] = 0
    found = read_codes(save({**arrays, "mask": mask}))
    np.testing.assert_allclose(found.test.static, arrays["static"][1::2].astype(np.float32))
    np.testing.assert_array_equal(found.train.mask, mask[::2])
    halved = read_codes(save({**arrays, "split": None}), seed=3)
    assert (len(halved.train), len(halved.test)) == (60, 60)
    assert halved.split == "half, seed 3"


def test_kinds_from_python_go_before_those_of_the_file(arrays, save):
    file = save({**arrays, "static_factors": None, "dynamic_factors": None})
    assert read_codes(file, ["digit"], ["speaker"]).factors["digit"].kind == "static"
    assert read_codes(save(arrays), dynamic_factors=["digit"]).factors["speaker"].kind == "static"


def with_value(arrays, name, place, value):
    changed = np.array(arrays[name], dtype=np.float64)
    changed[place] = value
    return changed


BAD = {
    "nan": (lambda a: {"static": with_value(a, "static", (0, 0), np.nan)}, "static: 1 of 480 values are not finite"),
    "infinite": (lambda a: {"dynamic": with_value(a, "dynamic", (0, 0, 0), np.inf)}, "dynamic: 1 of 2520 values are not finite"),
    "negative": (lambda a: {"factor.digit": a["factor.digit"].astype(int) - 1}, "factor.digit: classes should be 0, 1, ..., but"),
    "not whole": (lambda a: {"factor.digit": a["factor.digit"] + 0.5}, "digit: classes should be whole numbers, not float64"),
    "too high": (lambda a: {"factor.digit": a["factor.digit"].astype(int) + 1000}, "digit: class 1002 of 120 clips; number"),
    "labels short": (lambda a: {"factor.digit": a["factor.digit"][1:]}, "factor.digit: 119 classes for 120 clips"),
    "codes short": (lambda a: {"static": a["static"][1:]}, "static has 119 clips, dynamic has 120"),
    "axes": (lambda a: {"dynamic": a["dynamic"][:, 0]}, r"dynamic: should have 3 axes, but its shape is \[120, 7\]"),
    "no static": (lambda a: {"static": None}, "the array 'static' is missing; there is dynamic"),
    "no factor": (lambda a: {"factor.speaker": None, "factor.digit": None}, "there is no factor; add whole-numbered arrays"),
    "kind unsaid": (lambda a: {"dynamic_factors": None}, "is factor 'digit' static or dynamic"),
    "kind of none": (lambda a: {"static_factors": np.array(["speakr"])}, "factor 'speakr' has no labels. Did you mean 'speaker'"),
    "both kinds": (lambda a: {"dynamic_factors": np.array(["digit", "speaker"])}, "'speaker' is said to be static and dynamic"),
    "kinds as numbers": (lambda a: {"static_factors": np.array([1])}, "static_factors: should be names, but is int64"),
    "pickled": (lambda a: {"static_factors": np.array(["speaker"], object)}, "'static_factors' holds Python objects, which are"),
    "unknown": (lambda a: {"splits": a["split"]}, "unknown array 'splits'. Did you mean 'split'"),
    "split of three": (lambda a: {"split": np.arange(N) % 3}, "split: should be 0 for training and 1 for test clips"),
    "all training": (lambda a: {"split": np.zeros(N, int)}, "split: should be 0 for training and 1 for test clips"),
    "mask of two": (lambda a: {"mask": np.ones((N, 2))}, r"mask: its shape is \[120, 2\], but the dynamic codes are \[120, 3\]"),
    "mask of halves": (lambda a: {"mask": np.full((N, T), 0.5)}, "mask: should be 1 for a frame and 0 for padding"),
    "empty clip": (lambda a: {"mask": np.repeat(np.arange(N)[:, None] > 0, T, 1)}, "mask: clip 0 is nothing but padding"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_in_a_file_is_named(case, arrays, save):
    change, message = BAD[case]
    with pytest.raises(DataError, match=message):
        read_codes(save({**arrays, **change(arrays)}))


def test_a_file_that_is_no_archive_of_arrays_is_refused(tmp_path, arrays):
    with pytest.raises(DataError, match="there is no such file"):
        read_codes(tmp_path / "none.npz")
    np.save(tmp_path / "one.npy", arrays["static"])
    with pytest.raises(DataError, match=r"one.npy: is no .npz file. numpy.savez"):
        read_codes(tmp_path / "one.npy")
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("static.npy", b"no array at all")
    with pytest.raises(DataError, match=r"other.npz.*'static'|other.npz: is damaged|unknown array|is missing"):
        read_codes(tmp_path / "other.npz")
    np.savez(tmp_path / "cut.npz", **arrays)
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut.npz: is"):
        read_codes(tmp_path / "cut.npz")


def test_labels_that_share_no_class_between_the_splits_leave_nothing_to_probe(arrays, save):
    speaker = np.arange(N) % 2 + 2 * (np.arange(N) % 4 > 1)  # even and odd speakers in different splits
    only = {name: value for name, value in arrays.items() if "digit" not in name and "dynamic_factors" not in name}
    (eer,) = score_codes(save({**only, "factor.speaker": speaker, "split": speaker % 2}), draws=10)
    assert eer.protocol == "eer"


def test_a_table_has_a_row_for_each_score_and_a_column_for_each_model(arrays, save):
    _, eer, _ = score_codes(save(arrays), draws=50)
    table = result_table(eer)
    assert table.headers == ["", "model", "95 %", *BASELINES]
    assert [row[0] for row in table.rows] == ["static EER of speaker", "dynamic EER of speaker"]
    assert table.rows[0][1:4] == ["0.0 %", "0.0 to 0.0", "50.0 %"]


def test_rwk_eval_codes_prints_tables_writes_results_and_exits_with_2_on_bad_input(arrays, save, tmp_path):
    file = save({**arrays, "static_factors": None, "dynamic_factors": None})
    words = [sys.executable, "-m", "rwae_kit", "eval", "--codes", str(file), "--static-factor", "speaker"]
    done = subprocess.run(
        [*words, "--dynamic-factor", "digit", "--out", str(tmp_path / "made")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "dynamic EER of speaker" in done.stdout
    written = sorted(path.name for path in (tmp_path / "made" / "results").iterdir())
    assert written == ["dci.json", "eer.json", "probe.json"]
    values = json.loads((tmp_path / "made" / "results" / "eer.json").read_text())
    assert Result.from_dict(values).rows["constant"]["static EER of speaker"].value == 0.5
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is factor 'digit' static or dynamic" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "either RUN, the folder of a run, or --codes FILE"),
        (["run", "--codes", "x.npz"], "either RUN, the folder of a run, or --codes FILE"),
        (["run", "--static-factor", "speaker"], "belong to --codes"),
        (["--codes", "none.npz"], "there is no such file"),
    ],
)
def test_words_that_do_not_go_together_exit_with_2(words, message, capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["eval", *words])
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
