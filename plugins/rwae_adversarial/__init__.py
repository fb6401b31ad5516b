"""Divergences estimated by a discriminator."""

from __future__ import annotations

from collections.abc import Mapping

from rwae_kit import hookimpl


@hookimpl
def rwae_divergences() -> Mapping[str, str]:
    """JS-GAN."""
    return {"js_gan": "rwae_adversarial.js_gan:JSGAN"}
