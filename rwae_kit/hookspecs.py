"""Every door a plugin may come in by.

Each hook returns names and where they are: a string "module:Class", so that listing names imports nothing heavy, or the class
itself. What the class must be stands in `rwae_kit.interfaces`.
"""

from __future__ import annotations

from collections.abc import Mapping

import pluggy

hookspec = pluggy.HookspecMarker("rwae_kit")
hookimpl = pluggy.HookimplMarker("rwae_kit")


class Hooks:
    """The hooks; a plugin implements any of them as functions marked with `hookimpl`."""

    @hookspec
    def rwae_encoders(self) -> Mapping[str, type | str]: ...  # SequenceEncoder
    @hookspec
    def rwae_frame_encoders(self) -> Mapping[str, type | str]: ...  # FrameEncoder
    @hookspec
    def rwae_frame_decoders(self) -> Mapping[str, type | str]: ...  # FrameDecoder
    @hookspec
    def rwae_action_encoders(self) -> Mapping[str, type | str]: ...  # ActionEncoder
    @hookspec
    def rwae_static_priors(self) -> Mapping[str, type | str]: ...  # StaticPrior
    @hookspec
    def rwae_priors(self) -> Mapping[str, type | str]: ...  # DynamicPrior
    @hookspec
    def rwae_decoders(self) -> Mapping[str, type | str]: ...  # Decoder
    @hookspec
    def rwae_reconstructions(self) -> Mapping[str, type | str]: ...  # Reconstruction
    @hookspec
    def rwae_divergences(self) -> Mapping[str, type | str]: ...  # Divergence or CategoricalDivergence
    @hookspec
    def rwae_terms(self) -> Mapping[str, type | str]: ...  # LatentTerm
    @hookspec
    def rwae_views(self) -> Mapping[str, type | str]: ...  # FrameView or OrderView
    @hookspec
    def rwae_datasets(self) -> Mapping[str, type | str]: ...  # SequenceDataset
    @hookspec
    def rwae_metrics(self) -> Mapping[str, type | str]: ...  # Metric
    @hookspec
    def rwae_trackers(self) -> Mapping[str, type | str]: ...  # Tracker
    @hookspec
    def rwae_recipes(self) -> Mapping[str, str]: ...  # "package:file.toml"
    @hookspec
    def rwae_commands(self) -> Mapping[str, str]: ...  # "module:function" for `rwk NAME`, a Typer command
