"""Rank the combinations of an experiment from what MLflow holds, as `cifar-exp compare` does."""

import sys

from cifar_exp.cli import main

sys.argv.insert(1, "compare")
main()
