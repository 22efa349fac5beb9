"""What one GPU does with this project: every figure of it, by `python -m benchmarks.gpu`."""
