"""The Python API: the functions and classes that `import cifar_exp` offers."""
