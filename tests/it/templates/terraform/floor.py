"""What can be known of the Terraform module without Terraform: each argument exists, is one that may be set, and none is missing.

floor.py SCHEMA.json [FOLDER]

It also holds names that are mentioned against those that are declared. Needs python-hcl2.
"""

import json
import re
import sys
from pathlib import Path

import hcl2

META = {"count", "for_each", "depends_on", "lifecycle", "provider", "provisioner"}


def inner(block):
    """Arguments and blocks, without what the parser adds."""
    return {key.strip('"'): value for key, value in block.items() if not key.startswith("__")}


def named(parsed, kind):
    """Blocks such as resources: their type, their name and what is in them."""
    for item in parsed.get(kind, []):
        for sort, names in inner(item).items():
            for name, body in inner(names).items():
                yield sort, name, body


def blocks(body):
    """Blocks by their names: those that are written, and the contents of dynamic ones."""
    for name, value in inner(body).items():
        if name == "dynamic":
            for item in value:
                for made, dynamic in inner(item).items():
                    yield from ((made, content) for content in dynamic["content"])
        elif isinstance(value, list) and value and isinstance(value[0], dict) and "__is_block__" in value[0]:
            yield from ((name, content) for content in value)


def arguments(where, body, schema, faults):
    """Held against the schema; returns how many there were."""
    written = list(blocks(body))
    block_names = {name for name, _ in written} | {"dynamic"}
    count, given = 0, set()
    for name in inner(body):
        if name in META or name in block_names:
            continue
        count += 1
        given.add(name)
        argument = schema["attributes"].get(name)
        if argument is None:
            faults.append(f"{where}: there is no argument {name}")
        elif argument["computed"] and not argument["optional"] and not argument["required"]:
            faults.append(f"{where}: {name} is AWS's to set")
    for name, content in written:
        if name in META:
            continue
        if name not in schema["blocks"]:
            faults.append(f"{where}: there is no block {name}")
            continue
        given.add(name)
        count += arguments(f"{where}.{name}", content, schema["blocks"][name]["block"], faults)
    must = [name for kind in ("attributes", "blocks") for name, told in schema[kind].items() if told["required"]]
    faults.extend(f"{where}: {name} is missing" for name in must if name not in given)
    return count


def folder_faults(folder, schema):
    """Of the files in one folder, which are one module; and how many arguments were looked at."""
    files = sorted(folder.glob("*.tf"))
    texts = [file.read_text() for file in files]
    parsed = [hcl2.loads(text) for text in texts]
    faults, count, declared = [], 0, {"resource": {}, "data": {}}
    for file, part in zip(files, parsed):
        for kind in declared:
            for sort, name, body in named(part, kind):
                where = f"{file}: {kind} {sort}.{name}"
                declared[kind].setdefault(sort, set()).add(name)
                if sort not in schema[kind]:
                    faults.append(f"{where}: there is no such type")
                else:
                    count += arguments(where, body, schema[kind][sort], faults)

    # What is mentioned: comments and descriptions are no code.
    code = "\n".join(re.sub(r"^\s*(#|description\s*=).*$", "", text, flags=re.M) for text in texts)
    code = re.sub(r"<<-EOT.*?EOT", "", code, flags=re.S)
    for data, sort, name, attribute in re.findall(r"(?<![\w.\"])(data\.)?(aws_\w+)\.(\w+)(?:\[[^\]]*\])?(?:\.(\w+))?", code):
        kind = "data" if data else "resource"
        if name not in declared[kind].get(sort, set()):
            faults.append(f"{folder}: {data}{sort}.{name} is not declared")
        elif attribute and attribute not in schema[kind][sort]["attributes"] and attribute not in schema[kind][sort]["blocks"]:
            faults.append(f"{folder}: {data}{sort}.{name} has no {attribute}")
    variables = {name for part in parsed for item in part.get("variable", []) for name in inner(item)}
    used = set(re.findall(r"\bvar\.(\w+)", code))
    faults.extend(f"{folder}: var.{name} is not declared" for name in sorted(used - variables))
    faults.extend(f"{folder}: the variable {name} is not used" for name in sorted(variables - used))
    locals_ = {name for part in parsed for item in part.get("locals", []) for name in inner(item)}
    used = set(re.findall(r"\blocal\.(\w+)", code))
    faults.extend(f"{folder}: local.{name} is not declared" for name in sorted(used - locals_))
    faults.extend(f"{folder}: the local {name} is not used" for name in sorted(locals_ - used))
    for part in parsed:
        for kind in ("variable", "output"):
            for item in part.get(kind, []):
                for name, body in inner(item).items():
                    if not body.get("description"):
                        faults.append(f"{folder}: {kind} {name} has no description")
    return faults, count


def main(schema_file, folder="deploy/terraform"):
    with open(schema_file) as file:
        schema = json.load(file)
    faults, count = [], 0
    for each in sorted({file.parent for file in Path(folder).rglob("*.tf") if ".terraform" not in file.parts}):
        found, looked_at = folder_faults(each, schema)
        faults.extend(found)
        count += looked_at
    # Nothing found in nothing is no success.
    if count < 20:
        faults.append(f"{folder}: only {count} arguments were looked at")
    print("\n".join(faults) or f"{count} arguments, all as the schema has them")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
