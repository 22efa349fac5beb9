"""The modules that the fork server loads for trainers.

`gc.freeze` excludes their objects from garbage collection, which would copy the shared memory.
"""

import gc

import torch._dynamo  # which the first optimizer loads

import cifar_exp.sweep.executors.local

gc.freeze()

__all__ = ["cifar_exp", "torch"]
