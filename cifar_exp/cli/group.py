"""The group that all commands belong to."""

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cifar_exp")
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks; goes anywhere.")
def cli() -> None:
    """Rank loss functions and optimizers for an image classification task."""
