"""Clips, their splits and their stores. No data set lives here: those are plugins."""

from rwae_kit.data.clips import Clips, DataInfo, Factor

__all__ = ["Clips", "DataInfo", "Factor"]
