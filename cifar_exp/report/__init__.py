"""The report of a ranking: text files, figures and an HTML page."""

from cifar_exp.report.figures.colours import colours
from cifar_exp.report.figures.evidence import Evidence
from cifar_exp.report.figures.pictures import Subject, figure_of
from cifar_exp.report.files import across_figure, write, write_across
from cifar_exp.report.html.excerpt import excerpt, excerpt_across

__all__ = [
    "Evidence",
    "Subject",
    "across_figure",
    "colours",
    "excerpt",
    "excerpt_across",
    "figure_of",
    "write",
    "write_across",
]
