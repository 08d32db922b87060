"""Format the results of `benchmarks.gpu` as Markdown tables, and compare them with limits."""

from collections.abc import Iterator
from typing import Any

from benchmarks.bars import Bar
from benchmarks.published_steps import HEADER, row
from benchmarks.recipes import markdown

SHARE = 0.15  # maximum share of augmentation in a training step of SemiSupCon
SEMISUPCON = ("pretrain_ssl", "pretrain_smsl", "pretrain_sl")


def machine_line(machine: dict[str, Any]) -> str:
    """Describe the machine in a sentence."""
    cpu = f"{machine['cpus']} cores of {machine['cpu']}, {machine['memory_gib']:.0f} GiB"
    gpu = machine.get("gpu")
    if gpu:
        about = f"{machine['gpu_memory_gib']:.0f} GiB, driver {machine['driver']}, CUDA {machine['cuda']}"
        cpu = f"{gpu} ({about}); {cpu}"
    commit = f", commit {machine['commit'][:7]}" if machine.get("commit") else ""
    return f"{cpu}; torch {machine['torch']}, Python {machine['python']}{commit}."


def parts_table(result: dict[str, Any]) -> str:
    """Return a table of all parts with their time and errors."""
    rows = [["part", "seconds", "result"]]
    for name, part in result["parts"].items():
        error = " ".join(str(part.get("error") or "").split())
        rows.append([name, f"{part['seconds']:.0f}", f"error: {error[-200:]}" if error else "done"])
    return markdown(rows)


def steps_table(part: dict[str, Any]) -> str:
    """Return the table of the training steps of all recipes."""
    left_out = (
        f"\nNot measured for want of time: {', '.join(part['left_out'])}.\n"
        if part["left_out"]
        else ""
    )
    return markdown([HEADER, *map(row, part["rows"])]) + left_out


def peers_table(part: dict[str, Any]) -> str:
    """Return the tables of the augmentation chains and of the losses."""
    text, chains = "", part["chains"]
    if "ms" in chains:
        rows = [["SemiSupCon's chain", f"ms for {chains['views']} views", "relative to semisupcon"]]
        for name, ms in chains["ms"].items():
            times = chains["times_ours"].get(name)
            shown = "semisupcon" if name == "ours" else name
            rows.append([shown, f"{ms:.1f}", f"{times:.1f}" if times else ""])
        rows += [[name, error[:120], ""] for name, error in chains["errors"].items()]
        text += markdown(rows)
    if isinstance(part["losses"], list):
        rows = [["contrastive loss", "N", "ms", "peak memory, MiB"]]
        for size in part["losses"]:
            for name, ms in size["ms"].items():
                peak = size["peak_mib"].get(name)
                rows.append(
                    [name, size["n"], f"{ms:.2f}", f"{peak:.0f}" if peak is not None else ""]
                )
            rows += [[name, size["n"], error[:120], ""] for name, error in size["errors"].items()]
        text += "\n" + markdown(rows)
    return text


def end_to_end_table(part: dict[str, Any]) -> str:
    """Return the table of the clips per second."""
    rows = [
        [f"SampleCNN, {part['batch']}, {part['precision']}", "ms a step", "clips a second", "share"]
    ]
    for name, rate in part["clips_a_second"].items():
        share = part["share"].get(name)
        rows.append(
            [name, f"{part['ms'][name]:.1f}", f"{rate:.0f}", f"{share:.3f}" if share else ""]
        )
    return markdown(rows)


def tests_table(part: dict[str, Any]) -> str:
    """Return the numbers of tests, and the names of failed tests."""
    counts = ["passed", "failed", "skipped"]
    broken = "".join(f"\n- `{name}`" for name in part["broken"])
    return markdown([counts, [part[name] for name in counts]]) + (f"{broken}\n" if broken else "")


def resume_table(part: dict[str, Any]) -> str:
    """Return the largest differences of losses and weights between the compared runs."""
    rows = [["6 steps against 3 + 3", "largest difference of losses and weights"]]
    return markdown(rows + [[name, f"{d:g}"] for name, d in part["largest_difference"].items()])


def train_table(part: dict[str, Any]) -> str:
    """Return the losses of the training run, and the results of the probes."""

    def cell(value: float, low: float, high: float) -> str:
        return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"

    rows = [["linear probe, % [95 % interval]", "untrained", "trained", "gain, paired"]]
    for task, seen in part["probes"].items():
        values = [cell(*seen[name]) for name in ("random", "trained", "gain")]
        rows.append([f"{task}, {seen['metric']}", *values])
    about = f"{part['steps']} steps in {part['seconds_of_training']:.0f} s, start included; "
    finite = "all losses finite" if part["losses_finite"] else "a loss is not finite"
    losses = f"loss {part['first_loss']:.3f} to {part['last_loss']:.3f}, {finite}.\n\n"
    return about + losses + markdown(rows)


TABLES = {
    "tests": tests_table,
    "steps": steps_table,
    "peers": peers_table,
    "end_to_end": end_to_end_table,
    "resume": resume_table,
    "train": train_table,
}


def tables(result: dict[str, Any]) -> str:
    """Return all tables of a result as Markdown."""
    text = f"{machine_line(result['machine'])}\n\n{parts_table(result)}"
    for name, table in TABLES.items():
        part = result["parts"].get(name)
        if part is None:
            continue
        try:
            text += f"\n### {name}\n\n{table(part)}"
        except (KeyError, TypeError):  # The part has ended without these results.
            text += f"\n### {name}\n\nNo figures: {part.get('error')}\n"
    return text


def bars(result: dict[str, Any]) -> Iterator[Bar]:
    """Yield the results with their limits. A part without results misses all its limits."""
    parts = result["parts"]
    rows = parts.get("steps", {}).get("rows", [])
    if rows:
        yield Bar("recipes_that_fail", sum(bool(found.get("error")) for found in rows), 0, "<=")
    for found in rows:
        if found["recipe"] in SEMISUPCON and "share" in found:
            yield Bar(f"share_of_augmentation/{found['recipe']}", found["share"], SHARE, "<=")
    chains = parts.get("peers", {}).get("chains", {})
    for name, bar in ((chains.get("workers"), 30), ("torch-audiomentations", 3)):
        if name in chains.get("times_ours", {}):
            yield Bar(
                f"times_faster_than/{name.replace(' ', '_')}", chains["times_ours"][name], bar
            )
    for name, share in parts.get("end_to_end", {}).get("share", {}).items():
        yield Bar(f"share_of_the_step_alone/{name}", share, 0.9)
    if "failed" in parts.get("tests", {}):
        yield Bar("failed_tests", parts["tests"]["failed"], 0, "<=")
    for name, apart in parts.get("resume", {}).get("largest_difference", {}).items():
        yield Bar(f"difference_after_resume/{name}", apart, 0, "<=")
    for task, seen in parts.get("train", {}).get("probes", {}).items():
        yield Bar(f"lower_end_of_gain/{task}", 100 * seen["gain"][1], 0)
