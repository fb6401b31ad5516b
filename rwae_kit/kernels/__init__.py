"""Numerical kernels: functions of tensors that know nothing of models."""
