"""All that a worker needs, for the fork server to load.

Its workers never look through these objects for garbage: that would copy the memory they share.
"""

import gc

import torch._dynamo  # which the first optimizer loads

import cifar_exp.sweep.units
import cifar_exp.tracking.preload

gc.freeze()

__all__ = ["cifar_exp", "torch"]
