"""Installs the definitions of `experiments/` with the package; the rest is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["cifar_exp*"]), "cifar_exp.experiments"],
    package_dir={"cifar_exp.experiments": "experiments"},
)
