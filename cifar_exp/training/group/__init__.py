"""Networks that are trained together: the same batches, one forward and backward pass, one step."""
