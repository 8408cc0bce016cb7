"""The demo's table and picture: what rounds earned and cost, and every promotion's gain, predicted and realised."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.loop_demo.prepare import Stage
from training.loop_demo.score import Result
from training.loop_demo.traffic import Round

INK, FAINT, QUALITY, COST = "#22313f", "#e9ecef", "#3a6ea5", "#c8102e"


@dataclass(slots=True)
class History:
    """Everything that was seen, round by round."""

    rounds: list[Round] = field(default_factory=list)
    cycles: list[dict[str, Any]] = field(default_factory=list)  # after each round
    serving: list[str] = field(default_factory=list)  # version that is active after each cycle


def figures(stage: Stage, history: History, result: Result, rounds: int) -> dict[str, Any]:
    """Everything as JSON types."""
    rows, promotions, serving = [], [], stage.bad
    for number, (done, cycle) in enumerate(zip(history.rounds, history.cycles, strict=True)):
        world = result.before if number < rounds else result.after
        rows.append(
            {
                "round": number + 1,
                "exchanged": number >= rounds,
                "bundle": serving,
                "quality": done.quality,
                "cost": done.cost,
                "utility": done.quality - stage.price * done.cost / 1000,
                "held_out": {
                    "quality": world[serving].quality, "cost": world[serving].cost, "utility": world[serving].utility,
                },
                "plans": done.plans,
                "outcomes": len(done.reports),
                "drift": [change["backend"] for change in cycle.get("drift", {}).get("changes", ())],
            }
        )  # fmt: skip
        after = history.serving[number]
        if after != serving:
            predicted = cycle["evaluate"]["gain"]
            realised = world[after].served_utility - world[serving].served_utility
            promotions.append(
                {"round": number + 1, "bundle": after, "predicted": predicted, "realised": realised}
            )
        serving = after
    worlds = [("before", rounds, stage.full), ("after", len(rows), stage.full_swapped)]
    found: dict[str, Any] = {"price": stage.price, "rounds": rows, "promotions": promotions}
    for name, end, full in worlds:
        world = result.before if name == "before" else result.after
        if name == "after" and len(rows) == rounds:
            continue
        first = stage.bad if name == "before" else history.serving[rounds - 1]
        best, worst, last = (
            world[full].utility,
            world[first].utility,
            world[history.serving[end - 1]].utility,
        )
        found[name] = {
            "first": worst,
            "last": last,
            "full_information": best,
            "gap_closed": (last - worst) / (best - worst) if best > worst else None,
        }
    return found


def line(number: int, done: Round, cycle: dict[str, Any]) -> str:
    """One round in words, as it ends."""
    said = [f"round {number + 1}: quality {done.quality:.3f}, ${done.cost:.4f} per 1,000 queries"]
    said += [f"backend {one['backend']} changed" for one in cycle.get("drift", {}).get("changes", ())]
    fitted = cycle.get("fit", {})
    said.append(f"fitted on {fitted['rows']} decisions" if fitted.get("version") else fitted.get("why", ""))
    if "evaluate" in cycle:
        said.append(("promoted: " if "promote" in cycle else "kept: ") + str(cycle["evaluate"]["why"]))
    return "; ".join(one for one in said if one)


def text(found: dict[str, Any]) -> str:
    """The table."""
    lines = [
        "                      traffic                      never asked: what the bundle is worth",
        "round   quality   $ per 1,000   utility      quality   $ per 1,000   utility   after the round",
    ]
    promoted = {one["round"]: one for one in found["promotions"]}
    for row in found["rounds"]:
        if row["exchanged"] and not found["rounds"][row["round"] - 2]["exchanged"]:
            lines.append("        ── the two backends exchange their models; nobody tells the service ──")
        held = row["held_out"]
        said = [f"{', '.join(row['drift'])} changed"] if row["drift"] else []
        if row["round"] in promoted:
            one = promoted[row["round"]]
            gain = one["predicted"]
            said.append(
                f"promoted: gain {gain['mean']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}] predicted, "
                f"{one['realised']:+.3f} realised"
            )
        lines.append(
            f"{row['round']:5d}   {row['quality']:7.3f}   {row['cost']:11.4f}   {row['utility']:7.3f}      "
            f"{held['quality']:7.3f}   {held['cost']:11.4f}   {held['utility']:7.3f}   {'; '.join(said)}"
        )
    for name, words in (("before", "first"), ("after", "after the exchange")):
        if name in found:
            one = found[name]
            closed = "" if one["gap_closed"] is None else f": {one['gap_closed']:.0%} of the gap is closed"
            lines.append(
                f"{words}: utility {one['first']:.3f} -> {one['last']:.3f}, with full information "
                f"{one['full_information']:.3f}{closed}"
            )
    return "\n".join(lines)


def draw(found: dict[str, Any], path: Path) -> None:
    """Write a PNG: quality and cost of what decides, on queries that were never asked, and of the traffic."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = found["rounds"]
    at = [row["round"] for row in rows]
    with plt.rc_context({"font.size": 10.5, "axes.edgecolor": INK, "text.color": INK}):
        figure, panels = plt.subplots(3, 1, figsize=(9.2, 8.2), dpi=150, sharex=True)
        for axes, key, colour, words in zip(
            panels, ("quality", "cost", "utility"), (QUALITY, COST, INK),
            ("quality", "$ per 1,000 queries", "utility"), strict=True,
        ):  # fmt: skip
            axes.plot(
                at,
                [row[key] for row in rows],
                "o:",
                color=colour,
                alpha=0.5,
                label="traffic, exploration and all",
            )
            axes.plot(
                at, [row["held_out"][key] for row in rows], "o-", color=colour, label="on queries never asked"
            )
            axes.set_ylabel(words)
            axes.grid(color=FAINT)
            for one in found["promotions"]:
                axes.axvline(one["round"] + 0.5, color=FAINT, linewidth=3, zorder=0)
            changed = next((row["round"] for row in rows if row["exchanged"]), None)
            if changed is not None:
                axes.axvline(changed - 0.5, color="#d4a017", linestyle="--", linewidth=1.5)
        split = sum(not row["exchanged"] for row in rows)
        for name, first, last in (("before", 1, split), ("after", split + 1, len(rows))):
            if name in found:
                best = found[name]["full_information"]
                panels[2].plot(
                    [first, last],
                    [best, best],
                    color="#2a9d8f",
                    linewidth=2,
                    label="full information" if name == "before" else None,
                )
        panels[2].legend(frameon=False, loc="lower right")
        panels[0].legend(frameon=False, loc="lower right")
        panels[2].set_xlabel("round (grey: a promotion; dashes: the backends exchange their models)")
        panels[0].set_title("It learns from its own log", loc="left", weight="bold")
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
        plt.close(figure)
