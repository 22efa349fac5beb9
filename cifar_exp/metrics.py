"""Measures of a classifier that do not depend on the loss it was trained with."""

import torch


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of examples whose largest logit is that of their class.

    Args:
        logits: N x C, any floating dtype.
        labels: N class indices, int64.
    """
    return (logits.argmax(dim=1) == labels).double().mean().item()


def nll(probabilities: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the mean negative log-likelihood of the classes, in nats.

    A probability that rounds to zero counts as the smallest normal float64, 2.2e-308, so that
    the result stays finite.

    Args:
        probabilities: N x C, rows that sum to 1.
        labels: N class indices, int64.
    """
    chosen = probabilities.double().gather(1, labels[:, None])
    return -chosen.clamp_min(torch.finfo(torch.float64).tiny).log().mean().item()
