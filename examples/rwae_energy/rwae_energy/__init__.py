"""The energy distance, a plugin of rwae_kit."""

from rwae_kit import hookimpl


@hookimpl
def rwae_divergences() -> dict[str, str]:
    """Penalties by name, and where they are."""
    return {"energy": "rwae_energy.distance:EnergyDistance"}
