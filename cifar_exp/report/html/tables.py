"""The tables of the report, with all cells as text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cifar_exp.comparison import Ranking, Row
from cifar_exp.comparison.statistics.anova import Source
from cifar_exp.report.figures.colours import Palette
from cifar_exp.report.text.table import cells, headers
from cifar_exp.report.text.variance import share, source_name
from cifar_exp.system.formatting import duration

MOST_PAIRED = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One row of a table, with the colour of its combination."""

    cells: Sequence[str]
    colour: str | None = None
    best: bool = False
    """Whether the combination may be the best."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table of the page; column `head` contains the row headers."""

    name: str
    caption: str
    headers: Sequence[str]
    lines: Sequence[Line]
    head: int = 0
    text_columns: Collection[int] = (0,)
    """Columns with text, which are left-aligned."""


def ranking_table(ranking: Ranking, palette: Palette) -> Table:
    """Return the ranking with the columns of the terminal output."""
    measure = ranking.method.measure
    replicates = "studies" if ranking.replicates == "studies" else "confirmations"
    direction = "smaller is better" if ranking.smaller_is_better else "larger is better"
    return Table(
        name="table-ranking",
        caption=f"By mean {measure.label} over the {replicates} ({direction}); shaded: may be "
        "the best. time: training time of all trials.",
        headers=headers(ranking),
        lines=[_line(row, palette, cells(ranking, row)) for row in ranking.combinations],
        head=1,
        text_columns=(1,),
    )


def target_table(ranking: Ranking, palette: Palette) -> Table | None:
    """Return the time to target of each combination; None if no epochs are known."""
    timed = [row for row in ranking.combinations if row.time_to_target is not None]
    if ranking.target is None or not timed:
        return None
    return Table(
        name="table-target",
        caption=f"To {100 * ranking.target:.1f} % validation accuracy: how many confirmations "
        "reached it, and the epochs and the seconds after which half of all confirmations had "
        "reached it. A dash: fewer than half reached it.",
        headers=("combination", "reached", "epochs", "seconds"),
        lines=[_line(row, palette, _target_cells(row)) for row in timed],
    )


def variance_table(ranking: Ranking) -> Table | None:
    """Return the share of the variance of each factor; None if it cannot be split."""
    if not ranking.two_way:
        return None
    return Table(
        name="table-variance",
        caption=f"Analysis of variance of the {ranking.method.measure.label} of all "
        f"{'confirmations' if ranking.replicates == 'seeds' else 'studies'}: "
        "the share of the variance (omega squared) of each source or, if it is not significant at "
        f"level {ranking.alpha:g}, the most that it may be; and the test. loss:optimizer is their "
        "interaction; residual is noise. error: the source that F compares with. Without F, the "
        "test is that of Welch and James for unequal spreads.",
        headers=("source", "share", "degrees of freedom", "F", "error", "p"),
        lines=[Line(cells=_source_cells(source, ranking.alpha)) for source in ranking.two_way],
    )


def tuning_table(ranking: Ranking, palette: Palette) -> Table | None:
    """Return the winner's curse and the sensitivity to the learning rate of each combination."""
    rows = [row for row in ranking.combinations if row.val_accuracy is not None]
    if not rows:
        return None
    return Table(
        name="table-tuning",
        caption="Validation accuracy in %: of the best trial, of the same setting on new seeds, "
        "and the gap, the bias from choosing the best (winner's curse); of several studies, their "
        "means. Then the share of "
        "trials that diverged, the end of the range if the best learning rate lies "
        "at one, or is the last one tried and accuracy climbs up to it, and "
        "the points lost at a third and at three times the best learning rate: "
        "confirmed accuracy minus that of the trials with the same batch size, interpolated; "
        "diverged: such a trial diverged in between; a dash: no trials there. Where seeds were "
        "lost, the confirmed accuracy is that of the others, so that it is too high and the gap "
        "too small.",
        headers=(
            "combination",
            "best trial",
            "confirmed",
            "gap",
            "diverged",
            "lr at edge",
            "lr / 3 loses",
            "lr x 3 loses",
        ),
        lines=[_line(row, palette, _tuning_cells(row)) for row in rows],
    )


def studies_table(ranking: Ranking, palette: Palette) -> Table | None:
    """Return the best setting of each study and its results; None with one study each."""
    if ranking.replicates != "studies":
        return None
    return Table(
        name="table-studies",
        caption="Each study is a search of its own. Its best setting, the validation accuracy in % "
        "of that trial, and the test accuracy in % of the setting on new seeds; a dash: no result.",
        headers=("combination", "study", "lr", "batch size", "best trial", "test accuracy"),
        lines=[
            _line(
                row,
                palette,
                (
                    *(row.combination, str(s.number), f"{s.lr:.2g}", str(s.batch_size)),
                    *(_percent(s.val_accuracy, ".2f"), _percent(s.test_accuracy, ".2f")),
                ),
            )
            for row in ranking.combinations
            for s in row.study_results
        ],
    )


def pairs_table(ranking: Ranking) -> Table | None:
    """Return on how many common seeds each of the first combinations is better than the others."""
    shown = range(min(MOST_PAIRED, len(ranking.pairwise)))
    rows = [ranking.combinations[k] for k in shown]
    if len(rows) < 2 or not any(row.values for row in rows):
        return None
    return Table(
        name="table-pairs",
        caption=f"On how many common {ranking.replicates} the combination of the row is better "
        "than that of the column; equal results count half, and a lost one is lost."
        + (f" The first {MOST_PAIRED}." if len(ranking.pairwise) > MOST_PAIRED else ""),
        headers=("combination", *(row.combination for row in rows)),
        lines=[
            Line(cells=(row.combination, *(_wins(ranking, k, other) for other in shown)))
            for k, row in zip(shown, rows, strict=True)
        ],
    )


def fairness_table(ranking: Ranking) -> Table:
    """Return the conditions and whether they were the same for all combinations."""
    return Table(
        name="table-fairness",
        caption="Whether all combinations had the same conditions; a different value names its "
        "combinations.",
        headers=("condition", "value", "the same for all"),
        lines=[
            Line(
                cells=(
                    condition.name,
                    condition.value,
                    "yes" if condition.same else f"no: {_others(condition.different.items())}",
                )
            )
            for condition in ranking.fairness
        ],
        text_columns=(0, 1, 2),
    )


def made_table(ranking: Ranking) -> Table:
    """Return the definition of the sweep and the settings of the comparison."""
    pairs = {
        **ranking.definition,
        "yardstick": ranking.yardstick,
        "alpha": f"{ranking.alpha:g}",
        "rope": f"{ranking.rope:g}",
    }
    return Table(
        name="table-made",
        caption="The parameters of the sweep, as stored in MLflow, and of the comparison.",
        headers=("parameter", "value"),
        lines=[Line(cells=pair) for pair in pairs.items()],
        text_columns=(0, 1),
    )


def _line(row: Row, palette: Palette, texts: Sequence[str]) -> Line:
    return Line(cells=texts, colour=palette.colours[row.combination], best=row.may_be_best is True)


def _wins(ranking: Ranking, first: int, second: int) -> str:
    """Return on how many of the common seeds one combination is better than another."""
    won, seeds = ranking.pairwise[first][second], ranking.pairwise_seeds[first][second]
    return "-" if won is None or first == second else f"{round(won * seeds, 1):g} of {seeds}"


def _target_cells(row: Row) -> tuple[str, ...]:
    time = row.time_to_target
    if time is None:
        return (row.combination, "-", "-", "-")
    epochs = "-" if time.median_epochs is None else f"{time.median_epochs:g}"
    seconds = "-" if time.median_seconds is None else duration(time.median_seconds)
    return (row.combination, f"{time.reached} of {time.trainings}", epochs, seconds)


def _source_cells(source: Source, alpha: float) -> tuple[str, ...]:
    return (
        source_name(source),
        "-" if source.omega_squared is None else share(source, alpha),
        str(source.dof),
        "-" if source.f is None else f"{source.f:.2f}",
        "-" if source.f is None else source.error or "-",
        "-" if source.p is None else f"{source.p:.2g}",
    )


def _tuning_cells(row: Row) -> tuple[str, ...]:
    lost = f" ({row.seeds} of {row.seeds + row.seeds_failed} seeds)" if row.seeds_failed else ""
    third = "diverged" if row.diverged_lr_third else _percent(row.accuracy_lost_lr_third, ".1f")
    times_3 = (
        "diverged" if row.diverged_lr_times_3 else _percent(row.accuracy_lost_lr_times_3, ".1f")
    )
    return (
        row.combination,
        _percent(_best_trial(row), ".2f"),
        _percent(row.val_accuracy_confirmed, ".2f") + lost,
        _percent(row.winners_curse, "+.2f"),
        f"{row.diverged} of {row.trials}",
        row.lr_edge or "-",
        third,
        times_3,
    )


def _best_trial(row: Row) -> float | None:
    """Return the validation accuracy of the best trial, or its mean over the confirmed studies."""
    if row.val_accuracy_confirmed is None or row.winners_curse is None:
        return row.val_accuracy
    return row.val_accuracy_confirmed + row.winners_curse


def _percent(share: float | None, form: str) -> str:
    return "-" if share is None else format(100 * share, form)


def _others(pairs: Collection[tuple[str, str]]) -> str:
    return ", ".join(f"{value} for {name}" for name, value in pairs)
