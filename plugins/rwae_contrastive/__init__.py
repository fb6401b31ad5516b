"""Estimators of mutual information between latents and clips, and the views that they compare."""
