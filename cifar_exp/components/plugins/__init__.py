"""Plug-ins: components in a file of the user, or in an installed package."""

VARIABLE = "CIFAR_EXP_PLUGINS"
"""Names files as `--plugin` does, separated by colons (on Windows by semicolons)."""
