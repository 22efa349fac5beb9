"""All that a trainer needs, for the fork server to load.

Its trainers never look through these objects for garbage: that would copy the memory they share.
"""

import gc

import torch._dynamo  # which the first optimizer loads

import cifar_exp.sweep.executors.local

gc.freeze()

__all__ = ["cifar_exp", "torch"]
