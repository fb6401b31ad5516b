"""torch.compile of the nets of single frames, where it was asked for.

They take nearly all the time of a step, see every batch in one shape, and are passed through once for a gradient; recurrences,
penalties and critics stay as they are.
"""

from __future__ import annotations

import importlib.util
import os
import shutil

import torch
from torch import nn

from rwae_kit.errors import TrainingError
from rwae_kit.interfaces import FrameDecoder, FrameEncoder

COMPILERS = ("g++", "clang++", "c++", "cl")
WITHOUT = "Install one, or set training.compile = false"


def compile_frame_nets(model: nn.Module, device: torch.device, *, backend: str = "inductor") -> None:
    """Have the frame encoder and decoder compiled when they are first called. Names and values of weights stay.

    Raises:
        TrainingError: there is nothing here that could compile.
    """
    if backend == "inductor":
        check_compiler(device)
    for module in model.modules():
        if isinstance(module, FrameEncoder | FrameDecoder):
            module.compile(backend=backend, dynamic=False)


def check_compiler(device: torch.device) -> None:
    """Whether this machine has what torch.compile needs: a C++ compiler for the CPU, Triton for CUDA.

    Raises:
        TrainingError: it has not, or torch.compile does not know the device well enough.
    """
    if device.type == "cpu" and not any(shutil.which(name) for name in (os.environ.get("CXX", ""), *COMPILERS) if name):
        raise TrainingError(f"training.compile: no C++ compiler found (CXX, {', '.join(COMPILERS)}). {WITHOUT}")
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise TrainingError(f"training.compile: Triton is not installed. {WITHOUT}")
    if device.type not in ("cpu", "cuda"):
        raise TrainingError(f"training.compile: works on cpu and cuda, not on {device.type}. Set training.compile = false")


def compiling_failed(error: BaseException) -> bool:
    """Whether an error, or what caused it, comes from torch's compiler."""
    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__module__.startswith(("torch._dynamo", "torch._inductor")):
            return True
        seen = seen.__cause__
    return False
