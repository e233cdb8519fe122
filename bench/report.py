"""What was measured: every run and every table as CSV while it goes on, and the tables for people at the end."""

import csv
import sys


class Report:
    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.figures = {}  # what the aims speak of, by name
        self.tables = {}
        self.file = open(folder / "runs.csv", "w", newline="")
        self.runs = csv.writer(self.file)
        self.runs.writerow(["figure", "subject", "tool", "round", "wall_s", "user_s", "system_s", "peak_mib", "sum_of_peaks_mib"])

    def run(self, figure, subject, tool, number, usage):
        numbers = [usage.wall, usage.user, usage.system, usage.peak_mib, usage.sum_mib]
        row = [figure, subject, tool, number, *("" if value is None else f"{value:.3f}" for value in numbers)]
        self.runs.writerow(row)
        self.file.flush()
        print(*row, file=sys.stderr)

    def table(self, name, title, columns, rows):
        """Each row a list of texts and numbers; for the CSV as they are, for people rounded."""
        self.tables[name] = (title, columns, rows)
        with open(self.folder / f"{name}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)

    def rows(self, name):
        """The rows of a table as one dict each; none if it was not measured."""
        _, columns, rows = self.tables.get(name, ("", [], []))
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def series(self, name, columns, rows):
        """Too long for people: only CSV, and for plots."""
        self.table(name, None, columns, rows)

    def markdown(self):
        shown = [(title, columns, rows) for title, columns, rows in self.tables.values() if title]
        return "\n".join(f"## {title}\n\n{table(columns, [[people(value) for value in row] for row in rows])}" for title, columns, rows in shown)


def people(value):
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 2 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(columns, rows):
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
