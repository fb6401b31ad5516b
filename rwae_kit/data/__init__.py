"""Clips, their splits and their stores. No data set lives here: those are plugins."""

from rwae_kit.data.arrays import check_finite, clips_from
from rwae_kit.data.clips import Clips, DataInfo, Factor
from rwae_kit.data.export import SPLIT_INDICES, export_clips
from rwae_kit.data.labels import labels_of, read_pattern, read_table
from rwae_kit.data.progress import tracked
from rwae_kit.data.raw import BUILDS, BadFiles, in_order, open_built, padded, split_groups, store_path, windows
from rwae_kit.data.store import Store, StoreWriter, data_root, new_store, open_store, write_store

__all__ = [
    "BUILDS",
    "SPLIT_INDICES",
    "BadFiles",
    "Clips",
    "DataInfo",
    "Factor",
    "Store",
    "StoreWriter",
    "check_finite",
    "clips_from",
    "data_root",
    "export_clips",
    "in_order",
    "labels_of",
    "new_store",
    "open_built",
    "open_store",
    "padded",
    "read_pattern",
    "read_table",
    "split_groups",
    "store_path",
    "tracked",
    "windows",
    "write_store",
]
