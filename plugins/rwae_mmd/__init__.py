"""A first-party plugin."""
