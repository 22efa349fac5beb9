"""Plug-ins: components in a file of the user, or in an installed package."""
