import numpy as np
import pytest
import torch
from fabricated import save_face, write_mug
from PIL import Image

from rwae_datasets.mug import EXPRESSIONS, MUG, read_face
from rwae_kit import DataError
from rwae_kit.data import store_path
from rwae_kit.testing import check_dataset


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "mug"
    write_mug(folder)
    return folder


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "stores"))
    return tmp_path / "stores"


@pytest.fixture
def own(tmp_path):
    """A small tree of one's own, to damage: 3 subjects, 16 images a take."""
    write_mug(tmp_path / "own", subjects=3, frames=16)
    return tmp_path / "own"


def built(source, **options) -> MUG:
    config = MUG.Config(**{"pixels": 24, **options})
    MUG.build(config, source, store_path("mug", config))
    return MUG(config)


def test_a_tree_is_built_and_keeps_the_contract(faces, root):
    dataset = built(faces, length=4)
    check_dataset(MUG, dataset.config)
    info = dataset.info()
    assert (info.frame, info.length, info.fps) == ((3, 24, 24), 4, 9.5)
    assert info.factors["expression"].classes == EXPRESSIONS
    assert info.factors["expression"].kind == "dynamic"
    assert info.factors["subject"].classes == ("001", "002", "003", "004")
    assert [len(dataset.clips(split)) for split in ("train", "validation", "test")] == [17 * 3, 2 * 3, 5 * 3]


def test_clips_are_every_other_image_of_their_take(faces, root):
    dataset = built(faces, length=6)
    clips = dataset.clips("train")
    info = dataset.info()
    for i in (0, 1, len(clips) - 1):
        subject = info.factors["subject"].classes[clips.factors["subject"][i]]
        folder = faces / subject / EXPRESSIONS[clips.factors["expression"][i]] / "take000"
        images = sorted(folder.iterdir())[::2]
        expected = np.stack([read_face(path, (), 24) for path in images]).transpose(0, 3, 1, 2)
        found = clips.frames[i].numpy()
        assert any(np.array_equal(found, expected[start : start + 6]) for start in (0, 6))


@pytest.mark.parametrize("length", [8, 10])
def test_windows_overlap_by_the_stride(faces, root, length):
    dataset = built(faces, length=length, stride=2)
    count = sum(len(dataset.clips(split)) for split in ("train", "validation", "test"))
    assert count == 24 * (1 + (12 - length) // 2)


def test_by_video_no_take_and_by_subject_nobody_is_in_two_splits(faces, root):
    by_subject = built(faces, length=4, split="subject")
    people = [set(by_subject.clips(split).factors["subject"].tolist()) for split in ("train", "validation", "test")]
    assert [len(part) for part in people] == [2, 1, 1]
    assert len(set.union(*people)) == 4
    by_video = built(faces, length=4)
    takes = [
        set(zip(clips.factors["subject"].tolist(), clips.factors["expression"].tolist(), strict=True))
        for clips in (by_video.clips(split) for split in ("train", "validation", "test"))
    ]
    assert sum(map(len, takes)) == len(set.union(*takes)) == 24


def test_the_middle_square_or_the_given_box_is_cut_out(tmp_path):
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :10] = (255, 0, 0)
    image[:, 10:50] = (0, 255, 0)
    Image.fromarray(image).save(tmp_path / "a.png")
    assert (read_face(tmp_path / "a.png", (), 20) == (0, 255, 0)).all()
    assert (read_face(tmp_path / "a.png", (0, 5, 10, 10), 20) == (255, 0, 0)).all()
    with pytest.raises(DataError, match=r"60 x 40 pixels, and the box \(55, 0, 10, 10\) reaches beyond"):
        read_face(tmp_path / "a.png", (55, 0, 10, 10), 20)


def test_a_table_gives_each_take_its_box(own, root):
    rows = [f"{s:03d},{e},,{8 * s},0,60,60" for s in (1, 2, 3) for e in EXPRESSIONS]
    (own / "boxes.csv").write_text("\n".join(["subject,expression,take,left,top,width,height", *rows]))
    clips = built(own, length=8, boxes="boxes.csv").clips("train")
    subject, expression = int(clips.factors["subject"][0]) + 1, EXPRESSIONS[clips.factors["expression"][0]]
    path = own / f"{subject:03d}" / expression / "take000" / "img_0000.jpg"
    assert np.array_equal(clips.frames[0, 0].permute(1, 2, 0).numpy(), read_face(path, (8 * subject, 0, 60, 60), 24))
    (own / "boxes.csv").write_text("\n".join(["subject,expression,take,left,top,width,height", *rows[1:]]))
    with pytest.raises(DataError, match=r"001/anger/take000: boxes.csv has no box for it"):
        built(own, length=8, boxes="boxes.csv", seed=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,expression\n1,fear\n", "take, left, top, width, height is missing"),
        ("subject,expression,take,left,top,width,height\n001,fear,,0,0,9,x\n", "line 2: .*whole numbers"),
        ("subject,expression,take,left,top,width,height\n001,fear,,0,0,9,0\n", r"line 2: \(0, 0, 9, 0\) is no box"),
    ],
)
def test_a_damaged_table_of_boxes_is_an_error(own, root, text, message):
    (own / "boxes.csv").write_text(text)
    with pytest.raises(DataError, match=rf"mug: .*boxes.csv.*{message}"):
        built(own, length=8, boxes="boxes.csv")


def test_neutral_takes_are_passed_over_and_sessions_belong_to_the_take(own, root):
    (own / "001" / "fear").rename(own / "001" / "neutral")
    (own / "002" / "session1").mkdir()
    (own / "002" / "fear").rename(own / "002" / "session1" / "fear")
    dataset = built(own, length=8)
    clips = [dataset.clips(split) for split in ("train", "validation", "test")]
    assert sum(map(len, clips)) == 17
    assert torch.cat([part.factors["expression"] for part in clips]).bincount().tolist() == [3, 3, 2, 3, 3, 3]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda tree: (tree / "001/fear/take000/img_0004.jpg").write_bytes(b""), "img_0004.jpg: cannot be read"),
        (lambda tree: (tree / "001/fear").rename(tree / "001/fearr"), "001/fearr/take000: it should be SUBJECT/EXPRESSION/TAKE"),
        (lambda tree: save_face(tree / "002/fear/stray.jpg", 0, 0, 0), None),
    ],
    ids=["empty", "mislabelled", "stray"],
)
def test_a_bad_take_stops_the_build_unless_it_is_to_be_skipped(own, root, damage, message):
    damage(own)
    if message is None:  # one image is a take too short
        with pytest.warns(UserWarning, match=r"1 of 19 files are too short and left out: .*002/fear: 1 images are 1 frames"):
            built(own, length=8)
        return
    with pytest.raises(DataError, match=rf"mug: 1 of 18 files cannot be used: .*{message}"):
        built(own, length=8)
    assert not root.exists()
    with pytest.warns(UserWarning, match="left out"):
        built(own, length=8, skip_bad=True)


def test_too_few_subjects_and_no_images_are_errors(own, root, tmp_path):
    for name in ("001", "002"):
        (own / name).rename(tmp_path / name)
    with pytest.raises(DataError, match="mug: split = 'subject': 1 groups are too few"):
        built(own, length=8, split="subject")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="has no images"):
        built(tmp_path / "nothing")


@pytest.mark.parametrize("options", [{"box": (1, 2, 3)}, {"box": (0, 0, 0, 4)}, {"test": 0.0}, {"split": "take"}, {"step": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        MUG.Config(**options)
