"""The ranking of the combinations of an experiment, with the inference on their order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cifar_exp.comparison.counted import (
    counted,
    first_replicates,
    members_of,
    name_of,
    scored_metrics,
    sweep_of,
)
from cifar_exp.comparison.factors import Factor, factors_of
from cifar_exp.comparison.fairness import Condition, conditions
from cifar_exp.comparison.inference import RANK_LEVEL, Inference, infer, replicates_to_decide
from cifar_exp.comparison.method import Method
from cifar_exp.comparison.replicates import ALPHA, DECIDED_BY
from cifar_exp.comparison.row import Row
from cifar_exp.comparison.rows import row as row_of
from cifar_exp.comparison.statistics.anova import Source
from cifar_exp.comparison.statistics.looks import Decision
from cifar_exp.comparison.time_to_target import Curve, Curves, timed
from cifar_exp.comparison.tuning_cost import budget_curve
from cifar_exp.errors import BadInput
from cifar_exp.experiment import Design
from cifar_exp.records import RunRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """The combinations of an experiment in rank order; those without a result come last."""

    experiment: str
    combinations: tuple[Row, ...]
    yardstick: str = "test_accuracy"
    smaller_is_better: bool = False
    alpha: float = 0.05
    rope: float = 0.5
    """Half-width of the region of practical equivalence, in hundredths of the yardstick."""
    rank_level: float = RANK_LEVEL
    """Level of the interval `rank_low` to `rank_high` of each row."""
    compared: int = 0
    """Number of compared combinations: those with a result and no failed seed."""
    spread_pooled: bool | None = None
    """Whether all combinations share one variance; None if the seeds show no spread."""
    spread_p: float | None = None
    """P-value of equal variances (Breusch-Pagan, simulated null distribution)."""
    minimum_detectable_difference: float | None = None
    """True difference of two combinations that is detected in 80 of 100 sweeps."""
    replicates_to_decide: int | None = None
    """Replicates of each combination that would probably tell the first from the others that may
    be the best and differ by more than `rope`; None if there are none, or too many are needed."""
    two_way: tuple[Source, ...] = ()
    """Analysis of variance by loss, optimizer, their interaction and seed; of several schedules by
    three factors. Empty if not possible."""
    pairwise: tuple[tuple[float | None, ...], ...] = ()
    """Fraction of the common seeds on which row is better than column; a lost seed is lost."""
    pairwise_seeds: tuple[tuple[int, ...], ...] = ()
    """Number of the common seeds of row and column, in the order of `combinations`."""
    target: float | None = None
    """Validation accuracy, as a fraction of 1, for `time_to_target` of the rows."""
    budget_curve: str = ""
    """Description of `expected_best` of the rows."""
    fairness: tuple[Condition, ...] = ()
    group_alpha: float = 0.05
    """Level of `may_be_best`: `alpha` or, if results decided on replicates, that of the sweep."""
    replicates: str = "seeds"
    """What is repeated: "seeds" of one study of each combination, or "studies"."""
    ended: str | None = None
    """Why no more replicates are trained, if results decide on their number."""
    definition: Mapping[str, str] = field(default_factory=dict)
    """The params of the sweep's run in MLflow."""

    @property
    def complete(self) -> bool:
        """Whether every combination has a result."""
        return all(row.rank is not None for row in self.combinations)

    @property
    def factors(self) -> tuple[Factor, ...]:
        """What the combinations consist of; the schedule only if there are several."""
        return factors_of(self.combinations)

    @property
    def has_schedules(self) -> bool:
        """Whether the definition has schedules."""
        return "schedules" in self.definition

    @property
    def method(self) -> Method:
        """How the combinations were compared."""
        return Method(yardstick=self.yardstick, alpha=self.alpha, rope=self.rope)


def rank(
    records: Sequence[RunRecord],
    sweep_run_id: str | None = None,
    method: Method | None = None,
    curves: Mapping[str, Curve] | None = None,
) -> Ranking:
    """Rank the combinations of a sweep by the mean of a yardstick over its confirmations.

    Args:
        records: The runs of an experiment.
        sweep_run_id: The run of the sweep; default: the latest sweep.
        method: The yardstick and the level; default: test accuracy at 0.05.
        curves: Validation curves of the confirmations by run id, for the time to target.

    Raises:
        ValueError: The records have no such sweep.
        BadInput: No confirmation has the yardstick.
    """
    method = method or Method()
    sweep = sweep_of(records, sweep_run_id)
    curve, design = budget_curve(sweep.params), Design.of(sweep.params)
    trainings, decision = counted(records, sweep)
    method = method.resolved(scored_metrics(trainings.values()))
    rows = [
        row_of(r, trainings[name_of(r)], design, curve, method.yardstick)
        for r in members_of(records, sweep)
    ]
    _check_yardstick(rows, method.yardstick)
    ordered = sorted(rows, key=lambda row: _order(row, method))
    inferred, inference = infer(ordered, method)
    of_looks = decision if method.yardstick == DECIDED_BY else None
    if of_looks:
        inferred = [_decided(row, of_looks) for row in inferred]
    timed_rows, target = timed(inferred, confirmed_curves(trainings, curves or {}), method.target)
    fairness = conditions(first_replicates(trainings, design))
    return replace(
        _ranking(sweep, timed_rows, method, inference, fairness, target),
        group_alpha=ALPHA if of_looks else method.alpha,
        replicates_to_decide=replicates_to_decide(inferred, method),
        replicates=design.unit,
        ended=decision.ended if decision else None,
    )


def _decided(row: Row, decision: Decision) -> Row:
    """Replace the test of a single look by that of all looks, at the level of the sweep.

    Both fields are None for a combination that is not compared, or if no look has compared it.
    """
    name = row.combination
    p_value = decision.p_values.get(name) if row.in_best_group is not None else None
    return replace(
        row,
        may_be_best=None if p_value is None else name in decision.remaining,
        p_may_be_best=p_value,
    )


def confirmed_curves(
    trainings: Mapping[str, Sequence[RunRecord]], curves: Mapping[str, Curve]
) -> Curves:
    """Return the curves of each combination's confirmations, given the curves by run id."""
    return {
        name: tuple(
            curves[r.run_id] for r in runs if r.kind == "confirmation" and r.run_id in curves
        )
        for name, runs in trainings.items()
    }


def _ranking(
    sweep: RunRecord,
    rows: Sequence[Row],
    method: Method,
    inference: Inference,
    fairness: tuple[Condition, ...],
    target: float | None,
) -> Ranking:
    curve_name, _ = budget_curve(sweep.params)
    return Ranking(
        experiment=sweep.experiment,
        combinations=tuple(_ranked(row, position) for position, row in enumerate(rows, start=1)),
        yardstick=method.yardstick,
        smaller_is_better=method.measure.smaller_is_better,
        alpha=method.alpha,
        rope=method.rope,
        compared=inference.compared,
        spread_pooled=inference.spread_pooled,
        spread_p=inference.spread_p,
        minimum_detectable_difference=inference.minimum_detectable_difference,
        two_way=inference.two_way,
        pairwise=inference.pairwise,
        pairwise_seeds=inference.pairwise_seeds,
        target=target,
        budget_curve=curve_name,
        fairness=fairness,
        definition=dict(sweep.params),
    )


def _check_yardstick(rows: Sequence[Row], yardstick: str) -> None:
    """Check that some confirmation has the yardstick, if there are confirmations."""
    measured = sorted({name for row in rows for name in row.metric_means})
    if measured and yardstick not in measured:
        raise BadInput(f"no confirmation has {yardstick}; there are {', '.join(measured)}")


def _order(row: Row, method: Method) -> tuple[bool, bool, float, str]:
    """Return the sort key: best mean first; rows with failed seeds after all others."""
    sign = 1 if method.measure.smaller_is_better else -1
    mean = math.inf if row.mean is None else sign * row.mean
    return (row.mean is None, row.seeds_failed > 0, mean, row.combination)


def _ranked(row: Row, position: int) -> Row:
    return row if row.mean is None else replace(row, rank=position)
