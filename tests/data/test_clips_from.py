import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from rwae_kit import DataError
from rwae_kit.data import clips_from

BYTES = torch.randint(0, 256, (40, 3, 1, 6, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


class Items(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


class Stream(IterableDataset):
    def __iter__(self):
        return iter(BYTES)


def sorted_rows(frames):
    return sorted(row.flatten().tolist() for row in frames)


def test_the_splits_partition_the_clips():
    splits = clips_from(BYTES)
    assert {name: len(clips) for name, clips in splits.items()} == {"train": 32, "validation": 4, "test": 4}
    assert sorted_rows(torch.cat([clips.frames for clips in splits.values()])) == sorted_rows(BYTES)


def test_the_seed_decides_the_splits():
    first, again, other = (clips_from(BYTES, seed=seed)["train"].frames for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_split_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    clips_from(BYTES)
    assert torch.equal(before, torch.get_rng_state())


def test_a_split_without_a_share_is_left_out():
    assert set(clips_from(BYTES, test=0)) == {"train", "validation"}


def test_bytes_have_values_from_0_to_1():
    clips = clips_from(torch.full_like(BYTES, 255))["train"]
    assert clips.info.value_range == (0.0, 1.0)
    assert clips.batch(torch.tensor([0])).x.max().item() == pytest.approx(1.0)
    assert clips.batch(torch.tensor([0])).x.min().item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("low", "high", "wanted", "expected"),
    [(0.1, 0.9, None, (0, 1)), (-0.5, 1, None, (-1, 1)), (-2.5, 7, None, (-2.5, 7)), (0, 1, (-3.0, 3.0), (-3, 3))],
)
def test_the_range_of_floats_is_found_or_given(low, high, wanted, expected):
    data = torch.linspace(low, high, 40 * 2 * 5, dtype=torch.float64).reshape(40, 2, 5)
    clips = clips_from(data, value_range=wanted)["train"]
    assert clips.info.value_range == expected
    assert clips.info.frame == (5,)
    assert clips.frames.dtype == torch.float32
    assert clips.scale == 1.0


def test_an_array_and_a_tensor_give_the_same_clips():
    read_only = BYTES.numpy().copy()
    read_only.flags.writeable = False
    for array in (read_only, np.asfortranarray(read_only)):
        for name, clips in clips_from(array).items():
            assert torch.equal(clips.frames, clips_from(BYTES)[name].frames)
            assert clips.info == clips_from(BYTES)[name].info


LABELS = torch.arange(40) % 3


@pytest.mark.parametrize(
    "data",
    [
        Items([(x, {"way": int(y)}) for x, y in zip(BYTES, LABELS, strict=True)]),
        Items([{"x": x.numpy(), "way": y} for x, y in zip(BYTES, LABELS, strict=True)]),
        [(x, {"way": y}) for x, y in zip(BYTES, LABELS, strict=True)],
        DataLoader(Items([{"x": x, "way": y} for x, y in zip(BYTES, LABELS, strict=True)]), batch_size=7),
        DataLoader(Items([(x, {"way": int(y)}) for x, y in zip(BYTES, LABELS, strict=True)]), batch_size=40),
    ],
    ids=["pairs", "mappings", "a list", "a loader of mappings", "a loader of pairs"],
)
def test_a_dataset_gives_the_clips_and_labels_of_its_items(data):
    expected = clips_from(BYTES, factors={"way": LABELS}, dynamic=["way"])
    for name, clips in clips_from(data, dynamic=["way"]).items():
        assert torch.equal(clips.frames, expected[name].frames)
        assert torch.equal(clips.factors["way"], expected[name].factors["way"])
        assert clips.info == expected[name].info
    assert expected["train"].info.factors["way"].classes == ("0", "1", "2")
    assert expected["train"].info.factors["way"].kind == "dynamic"


def test_a_label_stays_with_its_clip():
    marked = torch.arange(40, dtype=torch.uint8)[:, None, None].expand(40, 2, 3)
    for clips in clips_from(marked, factors={"number": np.arange(40)}).values():
        assert torch.equal(clips.frames[:, 0, 0].long(), clips.factors["number"])


def test_a_tensor_dataset_without_and_with_labels_is_read():
    assert clips_from(TensorDataset(BYTES))["train"].factors == {}
    assert set(clips_from(TensorDataset(BYTES, LABELS))["train"].factors) == {"label"}


def test_clips_are_split_as_they_are():
    whole = clips_from(BYTES, factors={"way": LABELS})["train"]
    parts = clips_from(whole)
    assert parts["test"].info == whole.info
    assert sum(len(part) for part in parts.values()) == len(whole)


def test_the_hash_follows_the_content():
    other = BYTES.clone()
    other[7, 1, 0, 2, 2] += 1
    hashes = {clips_from(data)["train"].info.hash for data in (BYTES, BYTES.clone(), other)}
    assert len(hashes) == 2


def test_the_place_of_the_first_value_that_is_not_finite_is_told():
    data = torch.zeros(300, 2, 1, 4, 4)
    data[280, 1, 0, 2, 3] = torch.nan
    data[299] = torch.inf
    with pytest.raises(DataError, match=r"given: clip 280, frame 1, at \(0, 2, 3\) is nan. All values must be finite"):
        clips_from(data)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (BYTES[:3], {}, "3 clips are too few"),
        (BYTES[:, 0], {}, r"must be \[n, t, channels, height, width\] or \[n, t, features\], not \(40, 1, 6, 6\)"),
        (BYTES[:0], {}, r"not \(0, 3, 1, 6, 6\)"),
        (BYTES.movedim(2, -1), {}, r"channels last.*permute\(0, 1, 4, 2, 3\)"),
        (BYTES.long(), {}, r"torch.int64 have no known range"),
        (BYTES, {"value_range": (-1, 1)}, r"bytes have the range \(0, 1\)"),
        (BYTES.float(), {"value_range": (0, 1)}, r"value_range is \(0, 1\), but the values are 0..255"),
        (torch.full((9, 2, 5), 3.0), {}, "every value is 3"),
        (BYTES, {"validation": 0.5, "test": 0.5}, "sum to less than 1"),
        (BYTES, {"test": -0.1}, "must not be negative"),
        (BYTES, {"factors": {"way": [0, 1]}}, "needs 40 labels from 0 on"),
        (BYTES, {"factors": {"way": -LABELS}}, "needs 40 labels from 0 on"),
        (BYTES, {"factors": {"way": LABELS.float()}}, r"factor 'way': labels must be integers, not torch.float32"),
        (BYTES, {"factors": {"way": ["up"] * 40}}, "factor 'way': labels must be integers"),
        (BYTES, {"dynamic": ["way"]}, r"dynamic names \['way'\], but the factors are \[\]"),
        (Items([BYTES[0], BYTES[0, :2]]), {}, r"item 1 is torch.uint8 \(2, 1, 6, 6\), but item 0 is torch.uint8 \(3, 1, 6, 6\)"),
        (Items([BYTES[0], (BYTES[0], 1)]), {}, r"item 1 has the labels \['label'\], but item 0 has \[\]"),
        (Items([{"video": BYTES[0]}]), {}, r"keys \['video'\], but none is 'x'"),
        (Items([(BYTES[0], 1, 2)]), {}, "an item has 3 parts"),
        (Items(["a film"]), {}, "a clip of type str is no tensor"),
        (Items([]), {}, "there are no clips"),
        (np.array([object()]), {}, "is no tensor"),
        (Stream(), {}, "data of type Stream cannot be read"),
        (42, {}, "data of type int cannot be read"),
    ],
)
def test_data_that_cannot_be_used_is_refused(data, options, message):
    with pytest.raises(DataError, match=message):
        clips_from(data, **options)
