import json
import sys

import numpy as np
import pytest
import torch
from attrs import evolve

from rwae_datasets.arrays import Arrays
from rwae_datasets.hdf5 import Hdf5
from rwae_datasets.moving_shapes import MovingShapes
from rwae_kit import Clips, DataError, DataInfo, Factor
from rwae_kit.data import export_clips, open_store, store_path
from rwae_kit.testing import check_dataset

h5py = pytest.importorskip("h5py")
SPLITS = ("train", "validation", "test")
CLASSES = {
    "movement": {"index": 0, "type": "dynamic", "n_classes": 3, "values": {"walk": 0, "jump": 1, "sit": 2}, "ignore": False},
    "body": {"index": 1, "type": "static", "n_classes": 2, "values": {"light": 0, "dark": 1}},
    "day": {"index": 2, "type": "static", "n_classes": 40, "values": {}, "ignore": True},
}


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "stores"))
    return tmp_path / "stores"


def msd_arrays(n: int = 20) -> dict[str, np.ndarray]:
    """As the benchmark's files have them: channels first, bytes, splits in a shuffled order."""
    numbers = np.random.default_rng(0)
    order = numbers.permutation(n)
    return {
        "data": numbers.integers(0, 256, (n, 5, 3, 8, 8), dtype=np.uint8),
        "labels": np.stack([np.arange(n) % 3, np.arange(n) % 2, np.arange(n)], 1),
        "train_indices": order[: n - 8],
        "val_indices": order[n - 8 : n - 4],
        "test_indices": order[n - 4 :],
    }


def write_hdf5(path, arrays, classes=CLASSES):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values)
        if classes is not None:
            file.attrs["classes"] = classes if isinstance(classes, str) else json.dumps(classes)


def built(cls, source, **options):
    config = cls.Config(**options)
    cls.build(config, source, store_path("arrays" if cls is Arrays else "hdf5", config))
    return cls(config)


def test_a_file_of_the_benchmark_is_read_by_its_splits_and_factors(tmp_path):
    arrays = msd_arrays()
    write_hdf5(tmp_path / "msd.h5", arrays)
    dataset = built(Hdf5, tmp_path, file="msd.h5")
    check_dataset(Hdf5, dataset.config)
    info = dataset.info()
    assert (info.frame, info.length, info.value_range) == ((3, 8, 8), 5, (0.0, 1.0))
    assert info.factors == {
        "movement": Factor(classes=("walk", "jump", "sit"), kind="dynamic"),
        "body": Factor(classes=("light", "dark"), kind="static"),
    }
    for split, key in zip(SPLITS, ("train_indices", "val_indices", "test_indices"), strict=True):
        clips, rows = dataset.clips(split), np.sort(arrays[key])
        assert np.array_equal(clips.frames.numpy(), arrays["data"][rows])
        assert np.array_equal(clips.factors["movement"].numpy(), arrays["labels"][rows, 0])
        assert np.array_equal(clips.factors["body"].numpy(), arrays["labels"][rows, 1])


@pytest.mark.parametrize("channels", ["auto", "last"])
def test_channels_may_stand_last(tmp_path, channels):
    arrays = msd_arrays()
    write_hdf5(tmp_path / "first.h5", arrays)
    write_hdf5(tmp_path / "last.h5", arrays | {"data": np.moveaxis(arrays["data"], 2, -1)})
    first = built(Hdf5, tmp_path, file="first.h5").clips("train").frames
    assert torch.equal(built(Hdf5, tmp_path, file="last.h5", channels=channels).clips("train").frames, first)


@pytest.mark.parametrize(
    ("shape", "frame"), [((4, 3, 8, 9), (4, 3, 8, 9)[1:]), ((4, 8, 9), (1, 8, 9)), ((4, 7), (7,)), ((4, 8, 9, 1), (1, 8, 9))]
)
def test_frames_may_be_images_grey_images_or_vectors(tmp_path, shape, frame):
    values = np.random.default_rng(1).random((12, *shape)).astype(np.float64)
    np.save(tmp_path / "x.npy", values)
    dataset = built(Arrays, tmp_path, file="x.npy")
    check_dataset(Arrays, dataset.config)
    assert (dataset.info().frame, dataset.info().value_range) == (frame, (0.0, 1.0))
    assert [len(dataset.clips(split)) for split in SPLITS] == [9, 1, 2]


@pytest.fixture(scope="module")
def shapes():
    dataset = MovingShapes(MovingShapes.Config(train_clips=300, validation_clips=5, test_clips=7))
    return {split: dataset.clips(split) for split in SPLITS}


def vectors(masked: bool) -> dict[str, Clips]:
    scaled = {"value_range": (-5.0, 5.0), "mean": (1.0,) * 6, "std": (2.0,) * 6}
    info = DataInfo(name="toy", frame=(6,), length=4, fps=100.0, licence="CC BY", source="me", **scaled)
    mask = torch.tensor([[1.0, 1, 1, 0], [1, 1, 1, 1]])
    return {split: Clips(info=info, frames=torch.randn(2, 4, 6).clamp(-5, 5), mask=mask if masked else None) for split in SPLITS}


@pytest.mark.parametrize(("form", "cls", "name"), [("hdf5", Hdf5, "x.h5"), ("npz", Arrays, "x.npz")])
@pytest.mark.parametrize("kind", ["images", "vectors", "padded"])
def test_what_is_exported_is_read_as_it_was(tmp_path, shapes, form, cls, name, kind):
    splits = shapes if kind == "images" else vectors(kind == "padded")
    export_clips(splits, tmp_path / name, form)
    dataset = built(cls, tmp_path, file=name)
    check_dataset(cls, dataset.config)
    info = splits["train"].info
    assert evolve(dataset.info(), name=info.name, hash=info.hash) == info
    for split, clips in splits.items():
        found = dataset.clips(split)
        assert torch.equal(found.frames, clips.frames)
        assert found.scale == clips.scale
        assert {key: values.tolist() for key, values in found.factors.items()} == {k: v.tolist() for k, v in clips.factors.items()}
        assert (found.mask is None) == (clips.mask is None)
        assert clips.mask is None or torch.equal(found.mask, clips.mask)


def test_an_exported_file_keeps_the_layout_of_the_benchmark(tmp_path, shapes):
    export_clips(shapes, tmp_path / "x.h5", "hdf5")
    with h5py.File(tmp_path / "x.h5") as file:
        assert set(file) == {"data", "labels", "train_indices", "val_indices", "test_indices"}
        assert file["data"].shape == (312, 8, 3, 32, 32)
        assert file["val_indices"][:].tolist() == list(range(300, 305))
        classes = json.loads(file.attrs["classes"])
        assert set(classes["shape"]) == {"index", "type", "n_classes", "values", "ignore"}
        column = file["labels"][:, classes["colour"]["index"]]
        assert column[300:305].tolist() == shapes["validation"].factors["colour"].tolist()
        assert classes["colour"]["type"] == "static"
        assert classes["colour"]["values"]["red"] == 0
    export_clips(shapes, tmp_path / "x.npz", "npz")
    with np.load(tmp_path / "x.npz") as file:
        assert np.array_equal(file["data"][300:305], shapes["validation"].frames)


def test_an_export_is_whole_or_not_there(tmp_path, shapes):
    (tmp_path / "x.npz").write_text("mine")
    with pytest.raises(DataError, match="there is something already"):
        export_clips(shapes, tmp_path / "x.npz", "npz")
    assert (tmp_path / "x.npz").read_text() == "mine"
    with pytest.raises(DataError, match="the splits differ"):
        export_clips(shapes | {"test": evolve(shapes["test"], scale=1.0)}, tmp_path / "y.npz", "npz")
    with pytest.raises(DataError, match=r"x.npz.*: cannot be written"):
        export_clips(shapes, tmp_path / "x.npz" / "z.npz", "npz")
    assert [path.name for path in tmp_path.iterdir() if path.name != "stores"] == ["x.npz"]


def test_labels_of_an_npz_file_go_by_their_names_as_numbers_or_words(tmp_path):
    who = np.array(["bert", "anna", "cleo"] * 4)
    np.savez(tmp_path / "x.npz", data=np.zeros((12, 4, 6), np.uint8), who=who, act=np.arange(12) % 2, share=np.random.rand(12))
    dataset = built(Arrays, tmp_path, file="x.npz", dynamic=("act",), split_by="who")
    assert dataset.info().factors == {
        "who": Factor(classes=("anna", "bert", "cleo"), kind="static"),
        "act": Factor(classes=("0", "1"), kind="dynamic"),
    }
    people = [set(dataset.clips(split).factors["who"].tolist()) for split in SPLITS]
    assert sorted(map(len, people)) == [1, 1, 1]
    assert len(set.union(*people)) == 3
    assert open_store(store_path("arrays", dataset.config)).split_by == "who"
    assert set(built(Arrays, tmp_path, file="x.npz", labels=("act",)).info().factors) == {"act"}


def test_clips_in_no_split_are_left_out(tmp_path):
    arrays = msd_arrays()
    write_hdf5(tmp_path / "msd.h5", arrays | {"train_indices": arrays["train_indices"][:5]})
    assert len(built(Hdf5, tmp_path, file="msd.h5").clips("train")) == 5


def changed(**values):
    return lambda arrays: arrays | values


def without(*names):
    return lambda arrays: {name: values for name, values in arrays.items() if name not in names}


@pytest.mark.parametrize(
    ("change", "classes", "options", "message"),
    [
        (without("val_indices"), CLASSES, {}, "there is no array 'val_indices'.*--set splits=draw"),
        (changed(test_indices=np.array([20])), CLASSES, {}, r"'test_indices' has 20..20, but there are clips 0..19"),
        (changed(test_indices=np.array([0, 0])), CLASSES, {}, "clip 0 is in 'test_indices', and before that in"),
        (changed(test_indices=np.zeros(0, int)), CLASSES, {}, "'test_indices' should be places of clips"),
        (changed(test_indices=np.array([0.5])), CLASSES, {}, "'test_indices' should be places of clips.*float64"),
        (without("data"), CLASSES, {}, "no array 'data'; there are labels, test_indices"),
        (without("labels"), CLASSES, {}, "no array 'labels'"),
        (changed(data=np.zeros((20, 5))), CLASSES, {}, r"'data' is \(20, 5\); clips are"),
        (changed(data=np.zeros((20, 5, 8), np.int32)), CLASSES, {}, "'data' is of type int32"),
        (changed(data=np.zeros((20, 5, 2, 8, 8))), CLASSES, {}, r"frames are \(2, 8, 8\).*channels=first"),
        (changed(data=np.full((20, 5, 8), np.nan)), CLASSES, {}, r"'data' has nan in clip 0, frame 0, at \(0,\)"),
        (changed(data=np.full((20, 5, 8), 3.0)), CLASSES, {}, "every value of 'data' is 3"),
        (changed(data=np.full((20, 5, 8), 3.0)), CLASSES, {"value_range": (0.0, 1.0)}, r"value_range is \(0.0, 1.0\), but .* 3..3"),
        (changed(labels=np.full((20, 3), 3)), CLASSES, {}, "clip 0 has the label movement = 3; its classes are 0..2"),
        (changed(labels=np.full((20, 3), -1)), CLASSES, {}, "clip 0 has the label movement = -1"),
        (changed(labels=np.zeros((19, 3), int)), CLASSES, {}, r"'labels' is int64 \(19, 3\); it should be"),
        (changed(labels=np.zeros((20, 1), int)), CLASSES, {}, "'classes' puts 'body' in column 1 of 'labels', which has 1"),
        (changed(mask=np.zeros((20, 5))), CLASSES, {}, r"'mask' should be \(20, 5\)"),
        (changed(), None, {}, "no attribute 'classes'"),
        (changed(), "{", {}, "'classes' should be JSON"),
        (changed(), "[1]", {}, "'classes' should be JSON.*AttributeError"),
        (changed(), {"body": {"index": 0}}, {}, "'classes' should be JSON.*KeyError: 'n_classes'"),
        (
            changed(),
            {"body": {"index": 0, "n_classes": 3, "type": "fixed"}},
            {},
            "calls 'body' 'fixed'; a factor is static or dynamic",
        ),
        (changed(), CLASSES, {"labels": ("who",)}, "labels names 'who', but the arrays are"),
        (changed(), CLASSES, {"dynamic": ("who",)}, "dynamic names who, but the factors are movement, body"),
        (
            changed(),
            CLASSES,
            {"splits": "draw", "split_by": "who"},
            "split_by = 'who', but it should be clip or one of move",
        ),
        (changed(), CLASSES, {"splits": "draw", "split_by": "body"}, "split_by = 'body': 2 groups are too few"),
    ],
)
def test_a_file_that_does_not_fit_is_an_error(tmp_path, root, change, classes, options, message):
    write_hdf5(tmp_path / "msd.h5", change(msd_arrays()), classes)
    with pytest.raises(DataError, match=rf"(?s)hdf5: .*msd.h5: .*{message}"):
        built(Hdf5, tmp_path, file="msd.h5", **options)
    assert not root.exists()


@pytest.mark.parametrize("cls", [Arrays, Hdf5])
def test_a_file_that_is_not_named_not_there_or_damaged_is_an_error(tmp_path, cls):
    ending = "npz" if cls is Arrays else "h5"
    with pytest.raises(DataError, match=rf"which file is meant.*there is no .*\.{ending}"):
        built(cls, tmp_path)
    (tmp_path / f"x.{ending}").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=rf"which file is meant.*there are x.{ending}"):
        built(cls, tmp_path)
    with pytest.raises(DataError, match=rf"y.{ending} is not there; there are x.{ending}"):
        built(cls, tmp_path, file=f"y.{ending}")
    with pytest.raises(DataError, match=rf"x.{ending}.* (cannot be read|has Python objects)"):
        built(cls, tmp_path, file=f"x.{ending}")


def test_python_objects_in_a_file_are_never_read(tmp_path):
    np.savez(tmp_path / "x.npz", data=np.zeros((12, 4, 6)), who=np.array([{"a": 1}] * 12, dtype=object))
    with pytest.raises(DataError, match="it has Python objects, which are not read"):
        built(Arrays, tmp_path, file="x.npz")


def test_a_damaged_about_is_an_error(tmp_path):
    for about in ("{", '{"fps": "fast"}', '{"value_range": [1, 0]}', "3"):
        np.savez(tmp_path / "x.npz", data=np.random.rand(12, 4, 6), about=np.array(about))
        with pytest.raises(DataError, match="'about' is damaged"):
            built(Arrays, tmp_path, file="x.npz")


def test_without_h5py_the_install_line_is_named(tmp_path, shapes, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"pip install 'rwae-kit\[hdf5\]'"):
        built(Hdf5, tmp_path, file="x.h5")
    with pytest.raises(DataError, match=r"pip install 'rwae-kit\[hdf5\]'"):
        export_clips(shapes, tmp_path / "x.h5", "hdf5")
    assert not list(tmp_path.glob("*x.h5*"))
