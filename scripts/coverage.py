#!/usr/bin/env python3
"""Adds up what `cov show` says of several programs: lines of src/ and crates/ that any of them reached, without the unit tests."""

import os
import re
import sys

LEAST = 90.0
LINE = re.compile(r" *(\d+)\| *(\d*)\|")


def lines_of_tests(path):
    """Numbers of the lines in modules that are there for tests alone."""
    if path.endswith("/tests.rs"):
        return range(1, 10**9)
    with open(path) as source:
        for number, line in enumerate(source, 1):
            if line.startswith("#[cfg(test)]"):
                following = next(source, "")
                if following.startswith("mod tests {"):
                    return range(number, 10**9)
    return range(0)


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/"
    ours = tuple(root + folder for folder in ("src/", "crates/bzip2/src/"))
    reached = {}
    for listing in sys.argv[1:]:
        file = None
        with open(listing, errors="replace") as lines:
            for line in lines:
                line = line.rstrip("\n")
                if line.startswith("/"):
                    file = reached.setdefault(line, {}) if line.startswith(ours) else None
                elif file is not None and (found := LINE.match(line)) and found[2]:
                    number = int(found[1])
                    file[number] = file.get(number, False) or int(found[2]) > 0
    total = covered = 0
    for path in sorted(reached):
        tests = lines_of_tests(path)
        counted = {number: hit for number, hit in reached[path].items() if number not in tests}
        hits = sum(counted.values())
        total += len(counted)
        covered += hits
        if counted:
            missed = [number for number, hit in sorted(counted.items()) if not hit]
            print(f"{100 * hits / len(counted):6.1f} %  {hits:5} of {len(counted):5}  {path[len(root):]}  {ranges(missed)}")
    print(f"{100 * covered / total:6.2f} %  {covered} of {total} lines")
    sys.exit(100 * covered / total < LEAST)


def ranges(numbers):
    parts = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return " ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in parts)


if __name__ == "__main__":
    main()
