"""The tables of parameters in docs/DEPLOY.md are those of the templates: `parameters.py` compares, `--write` writes them."""

import re
import sys

import cfn

PAGE = "docs/DEPLOY.md"
TEMPLATES = ("template.yaml", "deploy/vault.yaml", "deploy/fleet.yaml")


def cell(text):
    return str(text).replace("|", "\\|").strip()


def table(path):
    template = cfn.load(path)
    groups = template.get("Metadata", {}).get("AWS::CloudFormation::Interface", {}).get("ParameterGroups")
    grouped = [(group["Label"]["default"], group["Parameters"]) for group in groups or []]
    rows = ["| parameter | default | meaning |", "|---|---|---|"]
    for label, names in grouped or [(None, list(template["Parameters"]))]:
        if label:
            rows.append(f"| **{label}** | | |")
        for name in names:
            parameter = template["Parameters"][name]
            default = parameter.get("Default")
            shown = "required" if default is None else f"`{default}`" if default != "" else ""
            meaning = cell(parameter["Description"])
            values = parameter.get("AllowedValues")
            if values:
                meaning += ": " + ", ".join(f"`{value}`" for value in values if value != "")
            rows.append(f"| `{name}` | {shown} | {meaning} |".replace("|  |", "| |"))
    return "\n".join(rows)


def main():
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    wanted = page
    for path in TEMPLATES:
        mark = re.escape(f"<!-- parameters: {path} -->")
        # With the empty line behind it, without which what follows would be a row.
        found = re.findall(rf"{mark}\n\n(?:\|.*\n)*\n?", wanted)
        assert len(found) == 1, f"{PAGE} has no one table of {path}"
        wanted = wanted.replace(found[0], f"<!-- parameters: {path} -->\n\n{table(path)}\n\n")
    if "--write" in sys.argv:
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(wanted)
    elif wanted != page:
        lines = [line for line in wanted.splitlines() if line not in page.splitlines()]
        raise AssertionError(f"{PAGE} is behind; run this with --write: {lines or 'a row or an empty line'}")
    # What the texts around name is a parameter, or the name of something else that is there.
    section = wanted[wanted.index("## With SAM") : wanted.index("## On ECS")]
    declared = {name for path in TEMPLATES for part in ("Parameters", "Outputs", "Resources") for name in cfn.load(path)[part]}
    declared |= set(re.findall(r"^\| `(\w+)` \| (?:Count|Bytes|Seconds|None) \|", section, re.MULTILINE))
    named = set(re.findall(r"`([A-Z][a-z]+[A-Za-z]*)`", section))
    strangers = named - declared - {"DeletionPolicy", "Server", "Database", "Image"}
    assert not strangers, f"{PAGE} names what the templates do not have: {sorted(strangers)}"
    # Of several rules that fit an object S3 takes the shortest: whoever shares a bucket is told where they are told to.
    shared = wanted[wanted.index("### Two databases, two servers") : wanted.index("### On arm64")]
    assert all(name in shared for name in ("`ExistingBucketName`", "`Retention`", "`ExpirationDays`", "shorter")), shared
    # What readers stumbled over.
    for path in (PAGE, "docs/RUNBOOK.md", *TEMPLATES):
        with open(path, encoding="utf-8") as file:
            text = " ".join(file.read().split())
        hard = ["heard of", "hears of", "hear of", "Mend it", "the causes are those of", "has no class goes", "let a schedule be"]
        found = [words for words in hard if words in text]
        assert not found, (path, found)
    print("parameters: ok")


main()
