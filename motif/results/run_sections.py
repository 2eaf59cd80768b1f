"""Sections of the report on RL runs: what was learnt, and whether the reward is being hacked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from motif.games.game import Kinds, kinds_of
from motif.results import charts
from motif.results.episodes import Comparison, FloatArray
from motif.results.income import Income, share_table
from motif.results.page import Cell, Section, bar, fill, percent, picture, rate
from motif.results.report import shown
from motif.results.runs import Run
from motif.templates import number

TOP_MESSAGES = 7
DOMINANT = 0.5  # a message that pays more than this part is pointed at


def correlation(first: FloatArray, second: FloatArray) -> float | None:
    """Pearson's; None where one of them doesn't vary."""
    if len(first) < 3 or not (np.ptp(first) > 0 and np.ptp(second) > 0):
        return None
    return float(np.corrcoef(first, second)[0, 1])


def glance_section(run: Run, incomes: Sequence[Income]) -> Section:
    """The figures one looks at first, and what in them may be a sign of hacking."""
    episodes = run.episodes
    values: list[tuple[str, Cell, str]] = [
        ("environment steps", run.steps, f"{run.task}, {run.method}"),
        ("games finished", len(episodes["return"]), "rows of episodes.csv"),
    ]
    for column, what in (("return", "task's own return"), ("intrinsic_return", "intrinsic return")):
        change = run.change(column)
        if change and np.any(episodes[column]):
            remark = f"last fifth; first {number(change.first)}; change {_interval(change)}"
            values.append((what, change.last, remark))
    if run.config.get("llm_reward"):
        value = correlation(episodes["intrinsic_return"], episodes["return"])
        values.append(("correlation", value, "of intrinsic and task's return, over games"))
    if bonus := run.config.get("bonus"):
        remark = f"coefficient of --bonus {bonus}"
        if "bonus_share" in episodes and (change := run.change("bonus_share")):
            remark += f"; {percent(change.last)} of what was paid, last fifth"
        values.append(("bonus", run.config["bonus_reward"], remark))
    body = fill("glance", values=values, signs=signs(run, incomes))
    return Section("glance", "At a glance", body)


def _interval(change: Comparison) -> str:
    return f"{change.low:+.3g} to {change.high:+.3g} (95 %)"


def signs(run: Run, incomes: Sequence[Income]) -> list[str]:
    """What the figures say about hacking, in sentences; they don't decide it."""
    if not run.config.get("llm_reward"):
        return ["This agent had no learnt reward to hack (--llm_reward 0)."]
    found = []
    game, intrinsic = run.change("return"), run.change("intrinsic_return")
    if game is None or intrinsic is None:
        found.append("Fewer than ten games: too few to tell anything.")
    elif intrinsic.low > 0 and game.low <= 0:
        found.append(
            "Look closer: the intrinsic return rose and the task's own return did not (its change "
            f"is {_interval(game)}). The agent found a way to be paid that does not help the task."
        )
    elif intrinsic.low > 0:
        found.append("Both the intrinsic and the task's own return rose: no sign here.")
    else:
        found.append(
            f"The intrinsic return did not rise (change {_interval(intrinsic)}): nothing was "
            "learnt to hack yet."
        )
    if not incomes:
        found.append(
            "Which messages paid is not known: play some games with --play 5, and this page shows "
            "it for early and late policies."
        )
        return found
    last = incomes[-1].shares()
    if last:
        name, late = max(last.items(), key=lambda item: (item[1], item[0]))
        early = incomes[0].shares().get(name, 0.0)
        warning = "Look closer: one message pays most. " if late > DOMINANT else ""
        found.append(
            f"{warning}The message with the largest share under the last policy played, "
            f"“{shown(name)}”, paid {percent(late)} of the intrinsic reward there, and "
            f"{percent(early)} under the first."
        )
    return found


def curves_section(runs: Sequence[Run]) -> Section:
    """Learning curves of all runs."""
    drawn = charts.learning_curves({run.name: run.episodes for run in runs})
    told = [(column, run) for column in ("return", "dlvl", "solved") for run in runs]
    rows = [_curve_row(run, column) for column, run in told if column in run.episodes]
    shown_curves = picture(drawn, "learning curves")
    body = fill("curves", picture=shown_curves, rows=rows, alone=len(runs) == 1)
    return Section("curves", "Learning curves", body)


def _curve_row(run: Run, column: str) -> list[Cell]:
    change = run.change(column)
    what = f"{run.name} ({run.method}, {run.network}): {charts.CURVES[column].lower()}"
    games = len(run.episodes[column])
    if change is None:
        return [what, games, None, None, None]
    return [what, games, change.first, change.last, Markup(_interval(change))]


def parts_section(runs: Sequence[Run]) -> Section:
    """Intrinsic against extrinsic return."""
    rows: list[list[Cell]] = []
    for run in runs:
        game, paid, length = (
            run.episodes[name] for name in ("return", "intrinsic_return", "length")
        )
        late = slice(len(game) // 2, None)
        pairs = ((paid, game), (paid[late], game[late]), (paid, length))
        rows.append([run.name, *(correlation(*pair) for pair in pairs)])
    named = {run.name: run.episodes for run in runs}
    dots = picture(charts.parts_scatter(named, "return", "intrinsic_return"), "one dot a game")
    body = fill("parts", picture=dots, rows=rows)
    return Section("parts", "Intrinsic against task's return", body)


def income_section(incomes: Sequence[Income], kinds: Kinds) -> Section:
    """Which messages paid the agent, from early policies to late ones."""
    names, shares = share_table(incomes, TOP_MESSAGES)
    labels = [f"{income.env_steps:,} steps" for income in incomes]
    bars = picture(charts.share_bars(labels, [shown(name) for name in names], shares), "shares")
    rows = _first_and_last(incomes[0], incomes[-1], kinds)
    body = fill("income", games=incomes[0].games, picture=bars, rows=rows)
    return Section("income", "Where the intrinsic reward comes from", body)


def _first_and_last(first: Income, last: Income, kinds: Kinds) -> list[list[Cell]]:
    before, after = first.shares(), last.shares()
    names = sorted({**before, **after}, key=lambda text: -after.get(text, 0) - before.get(text, 0))
    limit = max([*before.values(), *after.values()], default=1.0)
    rows: list[list[Cell]] = []
    for name in names[:15]:
        seen = [
            sum(entry.seen for entry in income.messages if entry.message == name) / income.games
            for income in (first, last)
        ]
        kind = Markup(", ".join(kinds_of(kinds, name)) or "–")
        bars = [
            bar(part.get(name, 0.0), limit, percent(part.get(name, 0.0)))
            for part in (before, after)
        ]
        rows.append([shown(name), kind, *seen, *bars])
    return rows


def success_section(runs: Sequence[Run]) -> Section:
    """Success rates; for the Oracle's two tasks, what lies between them."""
    rows: list[list[Cell]] = []
    for run in runs:
        late = run.solved[len(run.solved) - len(run.solved) // 5 :]
        share, interval = rate(int(late.sum()), len(late))
        rows.append([run.name, run.task, len(late), Markup(share), interval])
    both = {"NetHackOracle-v1", "NetHackOracleSober-v1"} <= {run.task for run in runs}
    return Section("success", "Success", fill("success", rows=rows, both_oracles=both))


def run_sections(run: Run, compared: Sequence[Run], incomes: Sequence[Income]) -> list[Section]:
    """All sections on runs that have something to show."""
    runs = [run, *compared]
    sections = [glance_section(run, incomes), curves_section(runs)]
    if incomes:
        sections.append(income_section(incomes, run.game.kinds))
    if rewarded := [each for each in runs if each.config.get("llm_reward")]:
        sections.append(parts_section(rewarded))
    if solvable := [each for each in runs if each.has_success]:
        sections.append(success_section(solvable))
    return sections
