"""All figures of this project on one GPU: `python -m benchmarks.gpu`."""
