"""Estimators of mutual information between latents and clips, and the views that they compare."""

from __future__ import annotations

from rwae_kit import hookimpl


@hookimpl
def rwae_terms() -> dict[str, str]:
    """Mutual information by contrast and by minibatch densities."""
    return {
        "info_nce": "rwae_contrastive.info_nce:InfoNCE",
        "weighted_sampling": "rwae_contrastive.weighted_sampling:WeightedSampling",
    }


@hookimpl
def rwae_views() -> dict[str, str]:
    """Orders of frames keep the static latent; new looks, and new voices of speech, keep the dynamic one."""
    return {
        "shuffle": "rwae_contrastive.orders:Shuffle",
        "reverse": "rwae_contrastive.orders:Reverse",
        "crop": "rwae_contrastive.looks:Crop",
        "colour": "rwae_contrastive.looks:Colour",
        "tone_curves": "rwae_contrastive.looks:ToneCurves",
        "blur": "rwae_contrastive.looks:Blur",
        "augment": "rwae_contrastive.looks:Augment",
        "pitch_shift": "rwae_contrastive.voices:PitchShift",
        "time_scale": "rwae_contrastive.voices:TimeScale",
        "voice": "rwae_contrastive.voices:Voice",
    }
