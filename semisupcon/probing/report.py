"""Results as a person reads them."""

from collections.abc import Sequence

import numpy as np

from semisupcon.probing.metrics import MAIN
from semisupcon.probing.results import Row

MAIN_METRICS = tuple(dict.fromkeys(MAIN.values()))


def table(rows: Sequence[Row]) -> str:
    """One line for every task, method and encoder: the main metric, mean over seeds (± their standard deviation) and its 95 % interval."""
    header = ["task", "method", "checkpoint", "metric", "value", "95 % interval", "chance", "tracks", "seeds"]
    lines = [header]
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        if row.metric in MAIN_METRICS or row.metric.startswith("mAP"):
            key = (row.task, row.method, row.checkpoint, row.source, row.representation, row.aggregation, row.train_share, row.metric)
            groups.setdefault(key, []).append(row)
    for (task, method, checkpoint, source, representation, aggregation, share, metric), group in groups.items():
        who = checkpoint + (f" ({representation})" if representation != "embedding" else "") + (" *" if source == "random" else "")
        how = method + (f", {aggregation}" if aggregation != "embedding" else "") + (f", {share:.3g} of training" if share < 1 else "")
        values = np.array([r.value for r in group])
        spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
        interval = f"{np.mean([r.low for r in group]):.3f} to {np.mean([r.high for r in group]):.3f}"
        by_chance = "" if np.isnan(group[0].chance) else f"{group[0].chance:.3f}"
        lines.append([task, how, who, metric, f"{values.mean():.3f}{spread}", interval, by_chance, str(group[0].n_test), str(len(group))])
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "  ".join("-" * w for w in widths))
    if any(r.source == "random" for r in rows):
        text.append("* untrained, of the same shape")
    return "\n".join(text)
