"""rwae_kit."""
