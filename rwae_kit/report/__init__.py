"""Pictures of what a model does, one page with all that is known of a run, and one that puts runs side by side."""

from rwae_kit.report.compare import compare_page
from rwae_kit.report.drawing import grid, pictures_of, save_animation
from rwae_kit.report.html import Picture
from rwae_kit.report.make import pictures, write_report
from rwae_kit.report.pictures import (
    Moving,
    choose,
    matrix_picture,
    reconstruction_picture,
    sample_pictures,
    swap_picture,
    traversal_picture,
    traverse_picture,
)

__all__ = [
    "Moving",
    "Picture",
    "choose",
    "compare_page",
    "grid",
    "matrix_picture",
    "pictures",
    "pictures_of",
    "reconstruction_picture",
    "sample_pictures",
    "save_animation",
    "swap_picture",
    "traversal_picture",
    "traverse_picture",
    "write_report",
]
