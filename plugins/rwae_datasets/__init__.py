"""The first-party data sets, one module each."""

from collections.abc import Mapping

from rwae_kit import hookimpl


@hookimpl
def rwae_datasets() -> Mapping[str, str]:
    """Names of data sets."""
    return {
        "arrays": "rwae_datasets.arrays:Arrays",
        "hdf5": "rwae_datasets.hdf5:Hdf5",
        "image_strips": "rwae_datasets.image_strips:ImageStrips",
        "moving_mnist": "rwae_datasets.moving_mnist:MovingMNIST",
        "moving_shapes": "rwae_datasets.moving_shapes:MovingShapes",
        "mug": "rwae_datasets.mug:MUG",
        "speech_folder": "rwae_datasets.speech_folder:SpeechFolder",
        "sprites": "rwae_datasets.sprites:Sprites",
        "timit": "rwae_datasets.timit:TIMIT",
        "video_folder": "rwae_datasets.video_folder:VideoFolder",
    }
