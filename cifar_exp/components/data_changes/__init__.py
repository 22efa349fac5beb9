"""Changes of the training data for a whole experiment: label noise, class imbalance, fewer images.

The cached data set stays as it is. A changed one is derived from it, with a fingerprint of its own.
"""

from cifar_exp.components.data_changes.changes import DataChanges, changed

__all__ = ["DataChanges", "changed"]
