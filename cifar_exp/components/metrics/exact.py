"""Arithmetic whose results are bitwise the same on every device and in every order."""

from __future__ import annotations

from cifar_exp.system.lazy_import import torch


def ratio(numerators: torch.Tensor, denominator: float) -> torch.Tensor:
    """Return integers / denominator, float64.

    The denominator is a tensor, as CUDA multiplies by the rounded reciprocal of a number.
    """
    divisor = torch.full((), denominator, dtype=torch.float64, device=numerators.device)
    return numerators / divisor


def units_of_one(num_terms: int) -> float:
    """Return how many units of a fixed-point number make 1.

    A power of two. int64 holds every sum of `num_terms` terms from -1 to 1 in these units. With
    less than 2^k terms, one unit is 2^(k - 62), and float64 terms from 2^(k - 9) are not rounded.
    """
    return 2.0 ** (62 - num_terms.bit_length())


def fixed_point(terms: torch.Tensor) -> torch.Tensor:
    """Return terms from -1 to 1, to be added over the last dimension, as int64; see `units_of_one`.

    The sum of float64 terms depends on their order, which depends on device and shape.
    """
    return (terms * units_of_one(terms.shape[-1])).long()


def counts(classes: torch.Tensor, num_classes: int, counted: torch.Tensor) -> torch.Tensor:
    """Return how many entries of each class are counted (M x C, int64).

    Args:
        classes: M x N class indices, int64.
        num_classes: C.
        counted: M x N, 1 for an entry that is counted, else 0; int64.
    """
    return classes.new_zeros(len(classes), num_classes).scatter_add(1, classes, counted)
