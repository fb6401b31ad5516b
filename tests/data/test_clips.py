import json

import pytest
import torch
from attrs import evolve

from rwae_kit import Clips, DataError, DataInfo, Factor

INFO = DataInfo(name="toy", frame=(1, 2, 2), length=3, factors={"way": Factor(classes=("up", "down"), kind="dynamic")})


def toy(**changes) -> Clips:
    values = {"info": INFO, "frames": torch.arange(60, dtype=torch.uint8).reshape(5, 3, 1, 2, 2), "scale": 1 / 255}
    return Clips(**{**values, "factors": {"way": torch.tensor([0, 1, 0, 1, 1])}, "mask": torch.ones(5, 3), **changes})


def test_a_batch_has_scaled_frames_and_the_labels_of_its_clips():
    batch = toy().batch(torch.tensor([4, 0]))
    torch.testing.assert_close(batch.x, toy().frames[[4, 0]].float() / 255)
    assert batch.factors["way"].tolist() == [1, 0]
    assert batch.index.tolist() == [4, 0]
    assert batch.mask.shape == (2, 3)
    assert batch.dataset_size == 5


def test_a_batch_never_shares_memory_with_the_clips():
    clips = toy(frames=torch.zeros(5, 3, 1, 2, 2), scale=1.0)
    clips.batch(torch.arange(5)).x.fill_(1)
    assert clips.frames.sum() == 0


def test_a_subset_keeps_every_label_with_its_clip():
    part = toy().subset(torch.tensor([3, 1]))
    assert torch.equal(part.frames, toy().frames[[3, 1]])
    assert part.factors["way"].tolist() == [1, 1]
    assert len(part) == 2


def test_the_description_survives_json():
    assert DataInfo.from_dict(json.loads(json.dumps(INFO.to_dict()))) == INFO


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"info": evolve(INFO, length=4)}, r"clips are \(3, 1, 2, 2\), but \(4, 1, 2, 2\) was declared"),
        ({"frames": torch.zeros(0, 3, 1, 2, 2)}, "the split is empty"),
        ({"factors": {"way": torch.tensor([0, 1, 2, 0, 0])}}, "factor 'way' needs 5 labels in 0..1"),
        ({"factors": {"way": torch.tensor([0, 1])}}, "factor 'way' needs 5 labels in 0..1"),
    ],
)
def test_clips_that_contradict_their_description_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        toy(**changes)


def test_recordings_go_along_with_their_clips_and_there_is_one_for_each():
    clips = toy(recordings=torch.tensor([3, 3, 4, 5, 5]))
    assert clips.subset(torch.tensor([4, 2])).recordings.tolist() == [5, 4]
    assert clips.to("cpu").recordings.tolist() == [3, 3, 4, 5, 5]
    assert toy().subset(torch.tensor([0])).recordings is None
    with pytest.raises(DataError, match=r"toy: recordings need 5 numbers, but are \(4,\)"):
        toy(recordings=torch.arange(4))
