"""What a definition can name: losses, optimizers, networks, data sets, augmentations, metrics."""
