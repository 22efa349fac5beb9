"""The plan of a sweep: number of trainings, disk space, and an estimate of its time."""

from cifar_exp.sweep.plan.plan import Cost, Plan, measure

__all__ = ["Cost", "Plan", "measure"]
