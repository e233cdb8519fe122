"""Four plots of what was measured. The same numbers give the same file."""

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

plt.rcParams.update({"svg.hashsalt": "pgseal", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10,
                     "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left", "figure.constrained_layout.use": True})

COLORS = {"pgseal": "#1f6f5c", "pgseal, scalar": "#7db8a8", "lbzip2": "#d08a3c", "pbzip2": "#c9b458", "bzip2": "#8a8a8a"}


def draw(report, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, plot in {"throughput": throughput, "pipeline": pipeline, "memory": memory, "workers": workers}.items():
        figure, axes = plt.subplots(figsize=(7, 3.4), facecolor="white")
        if plot(report, axes):
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)


def throughput(report, axes):
    rows = [row for row in report.rows("encoder") if row["set"] in ("mix", "d100", "orders", "pgbench", "text")]
    tools = ["pgseal", "pgseal, scalar", "lbzip2", "bzip2"]
    for place, tool in enumerate(tools):
        heights = [row[f"{tool}, MB per CPU-s"] for row in rows]
        bars = axes.bar([number + (place - 1.5) * 0.2 for number in range(len(rows))], heights, 0.19, color=COLORS[tool], label=tool)
        axes.bar_label(bars, fmt="%.0f", fontsize=8)
    axes.set_xticks(range(len(rows)), [row["set"] for row in rows])
    axes.set_title("bzip2 encoders: megabytes for a second of one core")
    axes.set_ylabel("MB per CPU-s")
    if rows:
        axes.legend(frameon=False, ncols=2, fontsize=8)
    return rows


def pipeline(report, axes):
    rows = report.rows("pipeline")
    tools = [row["tool"] for row in rows]
    for offset, column, unit, alpha in [(0.2, "wall, s", "s", 1), (-0.2, "CPU, s", "s of CPU", 0.5)]:
        bars = axes.barh([number + offset for number in range(len(rows))], [row[column] for row in rows], 0.38, color=[COLORS[tool] for tool in tools], alpha=alpha)
        axes.bar_label(bars, fmt=f"%.1f {unit}", padding=3, fontsize=8)
    axes.set_yticks(range(len(rows)), ["pg_dump, pgseal" if tool == "pgseal" else f"pg_dump, pv, {tool},\nopenssl, aws" for tool in tools])
    axes.margins(x=0.15)
    axes.set_title("A database to S3: time, and CPU without the servers'")
    axes.set_xlabel("seconds, median")
    return rows


def memory(report, axes):
    rows = report.rows("memory-over-time")
    for tool in dict.fromkeys(row["tool"] for row in rows):
        of_tool = [row for row in rows if row["tool"] == tool]
        # One point in so many is enough for the eye, and keeps the file small.
        of_tool = of_tool[:: max(1, len(of_tool) // 150)]
        label = "pgseal" if tool == "pgseal" else f"pv, {tool}, openssl, aws"
        axes.plot([row["seconds"] for row in of_tool], [row["resident, MiB"] for row in of_tool], color=COLORS[tool], label=label)
    axes.set_ylim(bottom=0)
    axes.set_title("A database to S3: resident memory without pg_dump's")
    axes.set_xlabel("seconds")
    axes.set_ylabel("MiB")
    if rows:
        axes.legend(frameon=False, fontsize=8)
    return rows


def workers(report, axes):
    rows = report.rows("workers")
    bars = axes.bar([str(row["workers"]) for row in rows], [row["MB/s"] for row in rows], 0.5, color=COLORS["pgseal"])
    axes.bar_label(bars, [f"{row['MB/s']:.0f} MB/s\n{row['peak, MiB']:.0f} MiB" for row in rows], fontsize=8)
    axes.margins(y=0.2)
    axes.set_title("The bzip2 stage by workers, on two cores")
    axes.set_xlabel("workers")
    axes.set_ylabel("MB/s")
    return rows
