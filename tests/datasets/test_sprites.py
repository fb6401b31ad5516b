import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rwae_datasets import sprites
from rwae_datasets.sprites import CELLS, LAYERS, SHEET, Sprites, write_characters
from rwae_kit import DataError
from rwae_kit.data import open_store

NAMES = [f"{layer}/{i}" for layer in LAYERS for i in range(6)] + ["shoes/1"]
TRAIN, TEST = [0, 1295, 437, 77], [1000, 5]
"""Codes of characters: 437 is body 2, bottom 0, top 0, hair 5."""


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
    """A source folder with coarse random layers, opaque in places, some of them palette images; blocks are no multiple of 4."""
    folder = tmp_path_factory.mktemp("sheets")
    generator = np.random.default_rng(0)
    for k, name in enumerate(NAMES):
        coarse = generator.integers(0, 256, (97, 61, 4), dtype=np.uint8)
        coarse[..., 3] = 255 * (coarse[..., 3] > 128)
        image = Image.fromarray(coarse).resize(SHEET, Image.Resampling.NEAREST)
        (folder / name).parent.mkdir(exist_ok=True)
        (image.quantize(64) if k % 12 == 0 else image).save(folder / f"{name}.png", compress_level=1)
    return folder


@pytest.fixture(scope="module")
def root(sheets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_characters(sheets, folder / "sprites", train=TRAIN, test=TEST)
    return folder


@pytest.fixture
def opened(root, monkeypatch):
    monkeypatch.setenv("RWAE_DATA", str(root))
    return lambda **options: Sprites(Sprites.Config(**{"validation_characters": 1, **options}))


def expected_clip(source: Path, code: int, action: str) -> np.ndarray:
    """A clip by the book: over whole sheets, pixel by pixel, where alpha is 0 or 1."""
    digits = (code // 216, code // 36 % 6, code // 6 % 6, code % 6)
    canvas = np.zeros((SHEET[1], SHEET[0], 3), np.uint8)
    for name in [*(f"{layer}/{digit}" for layer, digit in zip(LAYERS, digits, strict=True)), "shoes/1"]:
        layer = np.asarray(Image.open(source / f"{name}.png").convert("RGBA"))
        canvas = np.where(layer[..., 3:] > 127, layer[..., :3], canvas)
    cells = [divmod(cell, 13) for cell in CELLS[action]]
    return np.stack([canvas[64 * row : 64 * row + 64, 64 * column : 64 * column + 64] for row, column in cells])


def test_a_clip_is_its_layers_one_over_the_other_on_black(sheets, root):
    store = open_store(root / "sprites", verify=True)
    assert store.data.shape == (54, 8, 64, 64, 3)
    assert store.data.dtype == np.uint8
    for row, code, action in (
        (0, TRAIN[0], "walk front"),
        (2 + 4 * 3, TRAIN[2], "spellcard front"),
        (36 + 17, TEST[1], "slash right"),
    ):
        assert np.array_equal(store.data[row], expected_clip(sheets, code, action))


def test_rows_are_sorted_by_split_then_action_then_character(root):
    store = open_store(root / "sprites")
    assert store.splits == {"train": (0, 36), "test": (36, 54)}
    codes = store.factors["skin"] * 216 + store.factors["pants"] * 36 + store.factors["top"] * 6 + store.factors["hair"]
    assert codes.tolist() == TRAIN * 9 + TEST * 9
    assert store.factors["action"].tolist() == [a for a in range(9) for _ in TRAIN] + [a for a in range(9) for _ in TEST]
    assert store.scale == 1 / 256


def test_the_actions_are_three_motions_times_three_views():
    assert list(CELLS) == [f"{act} {view}" for act in ("walk", "spellcard", "slash") for view in ("front", "left", "right")]
    assert all(len(cells) == 8 for cells in CELLS.values())


def test_the_last_characters_of_the_training_set_validate(opened):
    train, validation, test = (opened().clips(split) for split in ("train", "validation", "test"))
    assert [len(clips) for clips in (train, validation, test)] == [27, 9, 18]
    assert train.factors["hair"].tolist() == [code % 6 for code in TRAIN[:3]] * 9
    assert set(validation.factors["hair"].tolist()) == {TRAIN[3] % 6}
    assert validation.factors["action"].tolist() == list(range(9))
    assert train.info == opened().info()
    assert train.info.factors["action"].kind == "dynamic"
    assert train.info.factors["skin"].kind == "static"


def test_frames_are_channel_first_and_unchanged_at_full_size(opened, root):
    data = torch.from_numpy(np.array(open_store(root / "sprites").data))
    assert torch.equal(opened().clips("test").frames, data[36:].movedim(-1, 2))


@pytest.mark.parametrize("pixels", [32, 16])
def test_smaller_frames_are_means_over_blocks_rounded(opened, pixels):
    full = opened().clips("train").frames.double()
    small = opened(pixels=pixels).clips("train")
    side = 64 // pixels
    mean = torch.nn.functional.avg_pool2d(full.flatten(0, 2), side).view(small.frames.shape)
    assert torch.equal(small.frames, torch.floor(mean + 0.5).to(torch.uint8))
    assert small.info.frame == (3, pixels, pixels)


def test_the_hash_follows_the_store_and_the_options(opened):
    hashes = {opened(**options).info().hash for options in ({}, {"pixels": 32}, {"validation_characters": 2})}
    assert len(hashes) == 3


def test_a_store_that_was_not_built_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path))
    for question in (Sprites(Sprites.Config()).info, lambda: Sprites(Sprites.Config()).clips("train")):
        with pytest.raises(DataError, match="rwk data build sprites --source DIR"):
            question()


def test_more_validation_characters_than_there_are_is_an_error(opened):
    with pytest.raises(DataError, match="validation_characters = 4, but the store has 4"):
        opened(validation_characters=4).clips("train")


def test_an_unknown_split_is_an_error(opened):
    with pytest.raises(DataError, match=r"unknown split 'valid'. Did you mean 'validation'"):
        opened().clips("valid")


@pytest.fixture
def broken(sheets, tmp_path):
    """A source folder of one's own, to damage."""
    source = tmp_path / "source"
    shutil.copytree(sheets, source)
    return source


def test_missing_sheets_are_named_together(broken, tmp_path):
    (broken / "hair" / "3.png").unlink()
    (broken / "shoes" / "1.png").unlink()
    with pytest.raises(DataError, match=r"lacks hair/3.png, shoes/1.png. It needs body"):
        Sprites.build(Sprites.Config(), broken, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scramble(path: Path) -> None:
    path.write_bytes(b"no image at all")


def shrink(path: Path) -> None:
    Image.new("RGBA", (832, 1280)).save(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [(truncate, "cannot be read"), (scramble, "cannot be read"), (shrink, "is 832 x 1280 pixels")],
    ids=["truncated", "no image", "too small"],
)
def test_a_damaged_sheet_is_named_with_the_size_it_should_have(broken, tmp_path, damage, message):
    damage(broken / "topwear" / "2.png")
    with pytest.raises(DataError, match=rf"topwear/2.png {message}.*832 x 1344 pixels"):
        Sprites.build(Sprites.Config(), broken, tmp_path / "target")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


needs_sheets = pytest.mark.skipif("RWAE_RAW_DATA" not in os.environ, reason="RWAE_RAW_DATA is not set")


@needs_sheets
def test_real_characters_are_composed_pixel_by_pixel(tmp_path):
    source = Path(os.environ["RWAE_RAW_DATA"]) / "sprites"
    write_characters(source, tmp_path / "sprites", train=[1295, 300], test=[862])
    store = open_store(tmp_path / "sprites", verify=True)
    for row, code, action in ((1, 300, "walk front"), (2 * 8, 1295, "slash right"), (18 + 4, 862, "spellcard left")):
        assert np.array_equal(store.data[row], expected_clip(source, code, action))
    assert store.info.hash == "b9da5bac497bbd53d0715299b4fe355dea11b382b8c0761397a2b645aa7bfa31"


@pytest.mark.slow
@needs_sheets
def test_the_published_set_is_built_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path))
    Sprites.build(Sprites.Config(), Path(os.environ["RWAE_RAW_DATA"]) / "sprites", tmp_path / "sprites")
    store = open_store(tmp_path / "sprites", verify=True)
    assert store.data.shape == (11664, 8, 64, 64, 3)
    assert store.splits == {"train": (0, 9000), "test": (9000, 11664)}
    assert store.info.hash == "d45db6aef736ea415d362ac91922686b745f57571511a759a3ef1a8af32c95ee"
    codes = store.factors["skin"] * 216 + store.factors["pants"] * 36 + store.factors["top"] * 6 + store.factors["hair"]
    assert sorted([*codes[:1000], *codes[9000:9296]]) == list(range(sprites.CHARACTERS))
    dataset = Sprites(Sprites.Config(pixels=32))
    assert [len(dataset.clips(split)) for split in ("train", "validation", "test")] == [8100, 900, 2664]
