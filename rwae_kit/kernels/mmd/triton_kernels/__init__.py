"""The Triton programs. Importing a module of this folder needs triton; only `triton_path.py` does so, when the path runs."""
