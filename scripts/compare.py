"""Rank the combinations of an experiment, read from MLflow; equivalent to `cifar-exp compare`."""

import sys

from cifar_exp.cli import main

sys.argv.insert(1, "compare")
main()
