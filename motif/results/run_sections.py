"""Sections of the report on RL runs: what was learnt, and whether the reward is being hacked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from motif.games.nethack.kinds import kinds_of
from motif.results import charts
from motif.results.episodes import Comparison, FloatArray
from motif.results.income import Income, share_table
from motif.results.intervals import wilson
from motif.results.page import (
    Cell,
    Html,
    Section,
    bar,
    cards,
    columns,
    escape,
    heading,
    note,
    number,
    paragraph,
    percent,
    picture,
    table,
)
from motif.results.report import shown
from motif.results.runs import Run

SCORE_TASK = "NetHackScore-v1"
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
        ("environment steps", run.steps, run.task),
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
    lines = "".join(f"<li>{escape(text)}</li>" for text in signs(run, incomes))
    body = [cards(values), heading("Is the agent hacking its reward?"), Html(f"<ul>{lines}</ul>")]
    return Section("glance", "At a glance", body)


def _interval(change: Comparison) -> str:
    return f"{change.low:+.3g} to {change.high:+.3g} (95 %)"


def signs(run: Run, incomes: Sequence[Income]) -> list[str]:
    """What the figures say about hacking, in sentences; they don't decide it."""
    if not run.config.get("llm_reward"):
        return ["This agent had no intrinsic reward to hack (--llm_reward 0)."]
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
    named = {run.name: run.episodes for run in runs}
    rows = [_curve_row(run, column) for column in ("return", "dlvl") for run in runs]
    header = ["", "games", "first fifth", "last fifth", "change, 95 % interval"]
    explained = (
        "A line is the mean of the last tenth of all games so far"
        + (", a dot one game; the axis leaves out the topmost 1 %." if len(runs) == 1 else ".")
        + " Fifths: of the games that began first, and of those that ended last."
    )
    body = [picture(charts.learning_curves(named), "learning curves"), note(explained)]
    return Section("curves", "Learning curves", [*body, table(header, rows)])


def _curve_row(run: Run, column: str) -> list[Cell]:
    change = run.change(column)
    what = f"{run.name}: {charts.CURVES[column].lower()}"
    games = len(run.episodes[column])
    if change is None:
        return [what, games, None, None, None]
    return [what, games, change.first, change.last, Html(_interval(change))]


def parts_section(runs: Sequence[Run]) -> Section:
    """Intrinsic against extrinsic return."""
    named = {run.name: run.episodes for run in runs}
    rows = []
    for run in runs:
        games = run.episodes
        late = slice(len(games["return"]) // 2, None)
        rows.append(
            [
                run.name,
                correlation(games["intrinsic_return"], games["return"]),
                correlation(games["intrinsic_return"][late], games["return"][late]),
                correlation(games["intrinsic_return"], games["length"]),
            ]
        )
    header = ["intrinsic return's correlation with", "task's return", "late half", "length"]
    left = picture(charts.parts_scatter(named, "return", "intrinsic_return"), "one dot a game")
    text = note(
        "One dot a game. Games that are paid well by the reward model but badly by the task, more "
        "of them late in training, are the sign to look for. A high correlation with length alone "
        "means that staying alive is what pays."
    )
    body = columns(left, Html(table(header, rows) + text))
    return Section("parts", "Intrinsic against task's return", [body])


def income_section(incomes: Sequence[Income]) -> Section:
    """Which messages paid the agent, from early policies to late ones."""
    names, shares = share_table(incomes, TOP_MESSAGES)
    labels = [f"{income.env_steps:,} steps" for income in incomes]
    body = [
        paragraph(
            f"{incomes[0].games} games played with each policy. A row is a policy; a colour is the "
            "part of its intrinsic reward that one message paid."
        ),
        picture(charts.share_bars(labels, [shown(name) for name in names], shares), "shares"),
        heading("First and last policy"),
        _first_and_last(incomes),
        note(
            "Seen: times a game. Paid: intrinsic reward a game, after threshold, counts and "
            "llm_reward. A message whose share grows while the task's return does not is what "
            "hacking looks like."
        ),
    ]
    return Section("income", "Where the intrinsic reward comes from", body)


def _first_and_last(incomes: Sequence[Income]) -> Html:
    first, last = incomes[0], incomes[-1]
    before, after = first.shares(), last.shares()
    names = sorted({**before, **after}, key=lambda text: -after.get(text, 0) - before.get(text, 0))
    limit = max([*before.values(), *after.values()], default=1.0)
    entries = [{entry.message: entry for entry in income.messages} for income in (first, last)]
    rows: list[list[Cell]] = []
    for name in names[:15]:
        seen = [
            entry[name].seen / income.games if name in entry else 0.0
            for entry, income in zip(entries, (first, last))
        ]
        kind = ", ".join(kinds_of(name))
        early, late = before.get(name, 0.0), after.get(name, 0.0)
        bars = [bar(share, limit, percent(share)) for share in (early, late)]
        rows.append([shown(name), Html(kind or "–"), *seen, *bars])
    header = ["message", "kind", "seen, first", "seen, last", "share, first", "share, last"]
    return table(header, rows)


def success_section(runs: Sequence[Run]) -> Section:
    """Success rates; for the Oracle's two tasks, what lies between them."""
    rows: list[list[Cell]] = []
    for run in runs:
        games = run.episodes["return"]
        late = games[len(games) - len(games) // 5 :]
        wins = int((late > 0).sum())
        low, high = wilson(wins, len(late))
        rate = percent(wins / len(late)) if len(late) else "–"
        rows.append(
            [run.name, run.task, len(late), Html(rate), Html(f"{percent(low)} to {percent(high)}")]
        )
    header = ["run", "task", "games (last fifth)", "success", "95 % interval (Wilson)"]
    body = [table(header, rows)]
    tasks = {run.task for run in runs}
    if {"NetHackOracle-v1", "NetHackOracleSober-v1"} <= tasks:
        body.append(
            note(
                "An agent that hallucinates sees the Oracle everywhere, and the Oracle task pays "
                "for it. Success that is far higher on the Oracle task than on the sober one was "
                "had that way: the reward is being hacked."
            )
        )
    return Section("success", "Success", body)


def run_sections(run: Run, compared: Sequence[Run], incomes: Sequence[Income]) -> list[Section]:
    """All sections on runs that have something to show."""
    runs = [run, *compared]
    sections = [glance_section(run, incomes), curves_section(runs)]
    if incomes:
        sections.append(income_section(incomes))
    rewarded = [each for each in runs if each.config.get("llm_reward")]
    if rewarded:
        sections.append(parts_section(rewarded))
    if any(each.task != SCORE_TASK for each in runs):
        sections.append(success_section([each for each in runs if each.task != SCORE_TASK]))
    return sections
