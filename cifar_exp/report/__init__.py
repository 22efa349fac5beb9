"""The report of a ranking: text files, figures and an HTML page."""

from cifar_exp.report.figures.colours import colours
from cifar_exp.report.figures.evidence import Evidence
from cifar_exp.report.files import write, write_across

__all__ = ["Evidence", "colours", "write", "write_across"]
