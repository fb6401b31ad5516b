import os
from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve
from fabricated import TIMIT_SPEAKERS, voice, write_sphere, write_timit, write_wave

from rwae_datasets.sound_files import Sound, read_sound
from rwae_datasets.speech_folder import SpeechFolder
from rwae_datasets.speech_frontend import SpeechOptions, log_frames, mel_weights
from rwae_datasets.timit import CORE_TEST, DIALECTS, TIMIT, VALIDATION
from rwae_kit import DataError
from rwae_kit.data import open_store, store_path
from rwae_kit.testing import check_dataset


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "stores"))
    return tmp_path / "stores"


@pytest.fixture
def source(tmp_path):
    write_timit(tmp_path / "TIMIT")
    return tmp_path / "TIMIT"


def built(cls, source: Path, **options):
    config = cls.Config(**options)
    cls.build(config, source, store_path(cls.__name__.lower() if cls is TIMIT else "speech_folder", config))
    return cls(config)


@pytest.mark.parametrize("order", ["01", "10"])
def test_a_sphere_file_is_read_in_either_byte_order(tmp_path, order):
    samples = voice(0.1, 100)
    write_sphere(tmp_path / "a.wav", samples, order=order)
    sound = read_sound(tmp_path / "a.wav")
    assert sound.rate == 16_000
    assert np.array_equal(sound.samples * 32768, samples)


@pytest.mark.parametrize("order", ["01", "10"])
def test_soundfile_reads_the_same_samples(tmp_path, order):
    soundfile = pytest.importorskip("soundfile")
    write_sphere(tmp_path / "a.wav", voice(0.1, 100), order=order, sample_min=-2191, sample_max=2790)
    write_wave(tmp_path / "b.wav", voice(0.1, 100, 8_000))
    for name in ("a.wav", "b.wav"):
        sound, (samples, rate) = read_sound(tmp_path / name), soundfile.read(tmp_path / name, dtype="float32")
        assert (sound.rate, sound.samples.tolist()) == (rate, samples.tolist())


def test_a_wave_file_is_told_by_its_first_bytes(tmp_path):
    samples = voice(0.1, 100, 8_000)
    write_wave(tmp_path / "a.WAV", samples)
    sound = read_sound(tmp_path / "a.WAV")
    assert sound.rate == 8_000
    assert np.array_equal(sound.samples * 32768, samples)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sample_coding": "pcm,embedded-shorten-v2.00"}, r"sample_coding is 'pcm,embedded-shorten-v2.00'.*sph2pipe"),
        ({"sample_coding": "ulaw"}, "sample_coding is 'ulaw'"),
        ({"channel_count": 2}, "2 channels of 2 bytes"),
        ({"sample_n_bytes": 1}, "1 channels of 1 bytes"),
        ({"sample_count": 1700}, "header says 1700 samples, but 1600 are there"),
        ({"sample_count": 0}, "there are no samples"),
        ({"sample_rate": "fast"}, "header is damaged"),
    ],
    ids=str,
)
def test_a_sphere_file_that_cannot_be_read_says_why(tmp_path, fields, message):
    write_sphere(tmp_path / "a.wav", voice(0.1, 100), **fields)
    with pytest.raises(DataError, match=message):
        read_sound(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "file is empty"), (b"OggS....", "neither NIST SPHERE nor WAVE"), (b"RIFF", "cannot be read"), (b"NIST_1A\n", "damaged")],
)
def test_a_file_that_is_no_sound_says_why(tmp_path, data, message):
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_sound(tmp_path / "a.wav")


def test_a_wave_file_cut_short_is_an_error(tmp_path):
    write_wave(tmp_path / "a.wav", voice(0.1, 100, 8_000))
    os.truncate(tmp_path / "a.wav", 900)
    with pytest.raises(DataError, match="cut short: its header says 800 samples, but 428"):
        read_sound(tmp_path / "a.wav")


def test_frames_are_those_of_the_definition_in_float64():
    x = voice(0.3, 150).astype(np.float64) / 32768
    frames = log_frames(Sound(samples=x.astype(np.float32), rate=16_000), SpeechOptions())
    assert frames.shape == (31, 200)
    emphasised = np.concatenate([[x[0]], x[1:] - 0.97 * x[:-1]])
    window = torch.hamming_window(400, periodic=True, dtype=torch.float64)
    expected = torch.stft(torch.from_numpy(emphasised), 400, 160, window=window, pad_mode="reflect", return_complex=True)
    assert np.allclose(frames, expected.abs().log()[1:].T.numpy(), atol=1e-4)


def test_a_tone_is_loudest_at_its_own_frequency_and_silence_is_the_floor():
    tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 16_000).astype(np.float32)
    frames = log_frames(Sound(samples=tone, rate=16_000), SpeechOptions())
    assert set(frames[2:-2].argmax(1)) == {24}  # 40 Hz each, the first at 40
    mels = log_frames(Sound(samples=tone, rate=16_000), SpeechOptions(features="mel"))
    assert mels.shape == (51, 80)
    assert mel_weights(16_000, 400, 80)[mels[20].argmax(), 25] > 0.5
    silent = log_frames(Sound(samples=np.zeros(8000, np.float32), rate=16_000), SpeechOptions(floor=-12))
    assert (silent == -12).all()


def test_mel_triangles_are_slaneys():
    weights = mel_weights(16_000, 400, 40)
    edges = np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), 42)
    centre = np.where(edges < 15, edges * 200 / 3, 1000 * 6.4 ** ((edges - 15) / 27))[1:-1]
    hertz = np.arange(201) * 40
    assert abs(hertz[weights.argmax(1)] - centre).max() <= 20
    assert weights.max() <= 1
    assert np.allclose(weights[:, (hertz > centre[0]) & (hertz < centre[-1])].sum(0), 1)  # height 1: neighbours fill up to 1
    with pytest.raises(DataError, match="mels = 256 are too many"):
        mel_weights(8_000, 100, 256)


def test_the_lists_of_speakers_have_their_sizes_and_do_not_meet():
    assert len(CORE_TEST) == 24
    assert len(VALIDATION) == 50
    assert not CORE_TEST & VALIDATION
    assert sum(name[0] == "F" for name in CORE_TEST) == 8


def test_a_timit_tree_is_built_by_its_speakers_without_the_sa_sentences(source, root):
    dataset = built(TIMIT, source)
    check_dataset(TIMIT, dataset.config)
    info = dataset.info()
    assert (info.frame, info.length, info.fps, info.value_range) == ((200,), 20, 100.0, (-5.0, 5.0))
    splits = {split: dataset.clips(split) for split in ("train", "validation", "test")}
    spoken = {
        split: {info.factors["speaker"].classes[i] for i in clips.factors["speaker"].tolist()} for split, clips in splits.items()
    }
    assert spoken == {
        "train": {"FCJF0", "MDPK0", "MADC0"},
        "validation": {"FAKS0", "FADG0"},
        "test": {"MDAB0", "FELC0", "FPAS0"},
    }
    train = splits["train"]
    assert len(train) == 3 * (3 + 3 + 4)  # SI1, SI2 and SX3 have 61, 71 and 81 frames
    assert info.factors["dialect"].classes == DIALECTS
    store = open_store(store_path("timit", dataset.config))
    assert store.split_by == "speaker"
    for i in range(len(train)):
        recording = store.recording_names[store.recordings[i]]
        speaker = info.factors["speaker"].classes[train.factors["speaker"][i]]
        assert recording.startswith(speaker)
        assert "SA" not in recording
        assert info.factors["sex"].classes[train.factors["sex"][i]] == ("female" if speaker[0] == "F" else "male")
        assert train.factors["dialect"][i] == (6 if speaker == "MADC0" else 0)


def test_values_are_normalised_over_training_frames_and_can_be_taken_back(source, root):
    dataset = built(TIMIT, source)
    info, train = dataset.info(), dataset.clips("train")
    flat = train.frames.flatten(0, 1).double()
    assert flat.mean(0).abs().max() < 0.3  # the tails count too, and are in no clip
    assert (flat.std(0) - 1).abs().max() < 0.4
    raw = train.frames[0].double() * torch.tensor(info.std) + torch.tensor(info.mean)
    store = open_store(store_path("timit", dataset.config))
    speaker, sentence = store.recording_names[store.recordings[0]].split("-")
    path = next(source / folder / speaker / f"{sentence}.WAV" for folder, names in TIMIT_SPEAKERS.items() if speaker in names)
    expected = log_frames(read_sound(path), dataset.config)[:20]
    inside = train.frames[0].abs() < 4.99
    assert torch.allclose(raw[inside], torch.from_numpy(expected).double()[inside], atol=1e-4)


def test_unit_values_lie_in_0_to_1_and_raw_ones_are_as_they_were(source, root):
    standard, unit, raw = (built(TIMIT, source, normalise=kind) for kind in ("standard", "unit", "none"))
    assert torch.allclose(unit.clips("test").frames, standard.clips("test").frames / 10 + 0.5, atol=1e-6)
    assert unit.info().value_range == (0.0, 1.0)
    assert raw.info().mean == ()
    low, high = raw.info().value_range
    assert low <= raw.clips("train").frames.min() < raw.clips("train").frames.max() <= high
    back = unit.clips("test").frames * torch.tensor(unit.info().std) + torch.tensor(unit.info().mean)
    inside = (unit.clips("test").frames - 0.5).abs() < 0.499
    assert torch.allclose(back[inside], raw.clips("test").frames[inside], atol=1e-4)


def test_padded_tails_are_masked(source, root):
    dataset = built(TIMIT, source, tail="pad", features="mel")
    clips = dataset.clips("train")
    assert dataset.info().frame == (80,)
    assert clips.mask is not None
    assert sorted(set(clips.mask.sum(1).tolist())) == [1.0, 11.0, 20.0]
    assert len(clips) == 3 * (4 + 4 + 5)


def test_whole_recordings_are_padded_to_the_longest(source, root):
    dataset = built(TIMIT, source, length=0)
    store = open_store(store_path("timit", dataset.config))
    assert dataset.info().length == 81
    lengths = {
        name.split("-")[1]: int(store.mask[row].sum())
        for row, name in enumerate(store.recording_names[i] for i in store.recordings)
    }
    assert lengths == {"SI1": 61, "SI2": 71, "SX3": 81}
    assert len(dataset.clips("train")) == 9
    short = dataset.clips("train").subset(torch.tensor([0]))
    assert torch.equal(short.frames[0, 60].expand(20, -1), short.frames[0, 61:])


def test_the_other_test_speakers_can_be_trained_on(source, root):
    dataset = built(TIMIT, source, train_on_rest=True)
    names = dataset.info().factors["speaker"].classes
    assert {names[i] for i in dataset.clips("train").factors["speaker"].tolist()} >= {"MREB1", "MABW0"}


def test_a_conversion_beside_a_recording_is_not_counted_twice_and_case_does_not_matter(source, root):
    for path in list(source.rglob("*.WAV")):
        write_wave(path.with_name(path.name + ".wav"), read_sound(path).samples * 32768, 16_000)
    assert len(built(TIMIT, source).clips("train")) == 30
    for path in sorted(source.rglob("*"), reverse=True):
        path.rename(path.with_name(path.name.lower()))
    assert len(built(TIMIT, source, stride=10).clips("train")) == 3 * (5 + 6 + 7)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b""), r"SI1.WAV: the file is empty"),
        (lambda path: os.truncate(path, 1500), r"SI1.WAV: it is cut short"),
        (lambda path: write_wave(path, voice(0.5, 100, 8_000)), r"SI1.WAV: it has 8000 samples a second, not 16000"),
        (lambda path: path.rename(path.with_name("X1.WAV")), r"X1.WAV: it does not lie at TRAIN or TEST"),
        (lambda path: write_sphere(path, voice(0.5, 9), sample_coding="pcm,embedded-shorten-v2.00"), "SI1.WAV: its sample_coding"),
    ],
    ids=["empty", "cut", "rate", "misnamed", "compressed"],
)
def test_a_bad_recording_stops_the_build_unless_it_is_to_be_skipped(source, root, damage, message):
    damage(source / "TRAIN" / "DR1" / "FCJF0" / "SI1.WAV")
    with pytest.raises(DataError, match=rf"timit: 1 of \d+ files cannot be used: .*{message}"):
        built(TIMIT, source)
    assert not root.exists()
    with pytest.warns(UserWarning, match="left out"):
        assert len(built(TIMIT, source, skip_bad=True).clips("train")) == 27


def test_a_tree_without_core_speakers_or_without_files_is_an_error(source, root, tmp_path):
    for name in ("DR1", "DR2"):
        (source / "TEST" / name).rename(tmp_path / name)
    with pytest.raises(DataError, match="timit: no clip is left for test"):
        built(TIMIT, source)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match=r"timit: .*nothing has no recordings"):
        built(TIMIT, tmp_path / "nothing")


@pytest.fixture
def folder(tmp_path):
    """Files as those of FSDD: 3 speakers say 4 digits 4 times."""
    for digit in range(4):
        for s, speaker in enumerate(("anna", "bert", "cleo")):
            for take in range(4):
                samples = voice(0.45, 90 + 40 * s + 5 * digit, 8_000, seed=take)
                write_wave(tmp_path / "speech" / f"{digit}_{speaker}_{take}.wav", samples)
    return tmp_path / "speech"


def test_a_folder_is_labelled_by_the_names_of_its_files_and_split_by_recording(folder, root):
    dataset = built(SpeechFolder, folder)
    check_dataset(SpeechFolder, dataset.config)
    info = dataset.info()
    assert {name: (len(one.classes), one.kind) for name, one in info.factors.items()} == {
        "digit": (4, "dynamic"),
        "speaker": (3, "static"),
    }
    assert info.frame == (100,)
    store = open_store(store_path("speech_folder", dataset.config))
    recordings = [set(store.recordings[slice(*rows)].tolist()) for rows in store.splits.values()]
    assert [len(part) for part in recordings] == [33, 5, 10]
    assert len(set.union(*recordings)) == 48


def test_a_folder_can_be_split_by_a_label(folder, root):
    dataset = built(SpeechFolder, folder, split_by="speaker")
    speakers = [set(dataset.clips(split).factors["speaker"].tolist()) for split in ("train", "validation", "test")]
    assert sorted(len(part) for part in speakers) == [1, 1, 1]
    assert len(set.union(*speakers)) == 3


def test_a_table_labels_files_and_one_that_is_missing_is_named(folder, root):
    rows = [
        f"{path.name},{path.stem.split('_')[1]},{'f' if path.name[2] in 'ac' else 'm'}" for path in sorted(folder.glob("*.wav"))
    ]
    (folder / "labels.csv").write_text("\n".join(["path,speaker,sex", *rows]))
    dataset = built(SpeechFolder, folder, table="labels.csv", static=("speaker", "sex"))
    assert {name: one.kind for name, one in dataset.info().factors.items()} == {
        "speaker": "static",
        "sex": "static",
    }
    (folder / rows[7].split(",")[0]).unlink()
    with pytest.raises(
        DataError,
        match=r"speech_folder: 1 of 48 files cannot be used: .*0_bert_3.wav: labels.csv names it in line 9, but it is not there",
    ):
        built(SpeechFolder, folder, table="labels.csv", seed=1)


def test_recordings_shorter_than_a_clip_are_left_out_with_a_warning(folder, root):
    write_wave(folder / "0_anna_9.wav", voice(0.1, 100, 8_000))
    with pytest.warns(UserWarning, match=r"1 of 49 files are too short and left out: .*0_anna_9.wav: 11 frames"):
        built(SpeechFolder, folder)
    assert built(SpeechFolder, folder, tail="pad").clips("train").mask is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split_by": "sex"}, "split_by = 'sex', but it should be recording or one of digit, speaker, take"),
        ({"static": ("speeker",)}, "speeker, but the labels are digit, speaker, take"),
        ({"pattern": "{speaker}-{digit}"}, "no file can be used: (?s:.*)does not fit"),
        ({"rate": 16_000}, "no file can be used: (?s:.*)8000 samples a second, not 16000"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_the_folder_are_errors(folder, root, options, message):
    with pytest.raises(DataError, match=message):
        built(SpeechFolder, folder, **options)


@pytest.mark.parametrize("options", [{"floor": 1.0}, {"preemphasis": 1.0}, {"length": 1}, {"features": "mfcc"}, {"window": 0.0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        evolve(SpeechOptions(), **options)


@pytest.mark.skipif("RWAE_RAW_DATA" not in os.environ, reason="RWAE_RAW_DATA is not set")
def test_real_spoken_digits_are_built(root):
    with pytest.warns(UserWarning, match="14 of 2000 files are too short"):
        dataset = built(SpeechFolder, Path(os.environ["RWAE_RAW_DATA"]) / "fsdd")
    info = dataset.info()
    assert (len(info.factors["speaker"].classes), len(info.factors["digit"].classes), info.frame) == (4, 10, (100,))
    assert open_store(store_path("speech_folder", dataset.config), verify=True).info.hash == info.hash
