"""The tables of inputs and outputs in the modules' READMEs, in the form that terraform-docs writes.

readme.py [FOLDER]            says where one differs from the .tf files
readme.py --write [FOLDER]    writes them

Needs python-hcl2.
"""

import json
import re
import sys
from pathlib import Path

import hcl2

BEGIN, END = "<!-- BEGIN_TF_DOCS -->", "<!-- END_TF_DOCS -->"


def blocks(folder, kind):
    """By name, in the order of the alphabet."""
    found = {}
    for file in sorted(folder.glob("*.tf")):
        for item in hcl2.loads(file.read_text()).get(kind, []):
            found.update((name.strip('"'), body) for name, body in item.items() if not name.startswith("__"))
    return dict(sorted(found.items()))


def text(value):
    """A description, on one line."""
    value = value.strip('"').replace('\\"', '"')
    value = re.sub(r"^<<-EOT|EOT$", "", value.strip())
    return " ".join(value.split()).replace("|", "\\|")


def code(value):
    value = value.strip('"') if isinstance(value, str) and value.startswith('"${') else value
    if isinstance(value, str):
        value = re.sub(r"^\$\{(.*)\}$", r"\1", value, flags=re.S)
    else:
        value = json.dumps(value).replace('"\\"', '"').replace('\\""', '"')
    return f"`{value}`".replace("|", "\\|")


def tables(folder):
    lines = ["## Inputs", "", "| Name | Description | Type | Default | Required |", "|------|-------------|------|---------|:--------:|"]
    for name, body in blocks(folder, "variable").items():
        is_required = "default" not in body
        default = "n/a" if is_required else "`null`" if body["default"] in (None, "null") else code(body["default"])
        required = "yes" if is_required else "no"
        lines.append(f"| {name} | {text(body['description'])} | {code(body['type'])} | {default} | {required} |")
    lines += ["", "## Outputs", "", "| Name | Description |", "|------|-------------|"]
    lines += [f"| {name} | {text(body['description'])} |" for name, body in blocks(folder, "output").items()]
    return "\n".join(lines)


def main(*arguments):
    write = "--write" in arguments
    root = Path(next((each for each in arguments if each != "--write"), "deploy/terraform"))
    faults = []
    for folder in [root, *sorted((root / "modules").iterdir())]:
        readme = folder / "README.md"
        told = readme.read_text() if readme.exists() else ""
        if told.count(BEGIN) != 1 or told.count(END) != 1:
            faults.append(f"{readme}: has no place for the tables ({BEGIN} and {END})")
            continue
        before, rest = told.split(BEGIN)
        now = f"{before}{BEGIN}\n{tables(folder)}\n{END}{rest.split(END)[1]}"
        if now != told and write:
            readme.write_text(now)
        elif now != told:
            faults.append(f"{readme}: the tables are not those of the .tf files; run readme.py --write")
    print("\n".join(faults) or "the tables are those of the .tf files")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
