"""The schema of the AWS provider, out of the npm package that the CDK for Terraform was given.

schema.py PACKAGE.tgz > schema.json

No package registry has the provider itself. This package has a class for each of its resources and data sources, written
by a generator; what it tells of each argument (its type, whether it must be given, whether AWS fills it in) is read here.
It does not tell limits on the number of blocks, which texts an argument takes, and which optional arguments AWS fills in.
"""

import json
import re
import sys
import tarfile

# Of what services: the whole provider is 2,200 types, and each start of Terraform would read them all.
SERVICES = (
    "caller_identity cloudwatch_ db_instance ecr_ ecs_ iam_ kms_ lambda_function partition rds_cluster region s3_ scheduler_ "
    "secretsmanager_ security_group sfn_state_machine sns_ sqs_ ssm_parameter subnet vpc"
).split()
# Optional arguments that AWS fills in.
FILLED_IN = {"bucket", "cidr_block", "id", "identifier", "name", "port", "region", "tags_all"}

SIMPLE = {"string": "string", "boolean": "bool", "number": "number"}
ENTRY = re.compile(
    r"^ +(\w+): \{\s+value: (.*?),\s+isBlock: (true|false),\s+type: \"(\w+)\",\s+storageClassType: \"(\w+)\",\s+\},$", re.M | re.S
)
COMPUTED = re.compile(r"// (\w+) - computed: true, optional: false, required: false\n(.*\n.*)")
# In the declarations: an argument's name is in its link, and what must be given has no question mark.
DECLARED = re.compile(r"#(\w+) \w+#\1\}(?:[^*]|\*(?!/))*\*/\s+readonly \w+(\??):")


def typed(storage):
    """Such as stringList, in Terraform's own notation."""
    for end in ("List", "Map"):
        if storage.endswith(end):
            return [end.lower(), typed(storage.removesuffix(end))]
    return SIMPLE.get(storage, "dynamic")


def slices(text, pattern):
    """Functions, classes or interfaces, by their names."""
    return {match[1]: text[match.start() : text.index("\n}\n", match.start())] for match in re.finditer(pattern, text, re.M)}


class Source:
    """Both files of one type."""

    def __init__(self, code, declarations):
        self.functions = slices(code, r"^function (\w+)\(")
        self.classes = slices(code, r"^class (\w+) extends")
        self.interfaces = slices(declarations, r"^export interface (\w+)")
        self.main = next((name for name, text in self.classes.items() if "terraformResourceType: '" in text), None)

    def block(self, entries, interface, of_class):
        required = {name: not mark for name, mark in DECLARED.findall(self.interfaces.get(interface, ""))}
        attributes, blocks = {}, {}
        for name, value, is_block, nesting, storage in ENTRY.findall(entries):
            inner = re.search(r"(?<![.\w])(\w+)ToHclTerraform", value)
            must = required.get(name, False)
            if is_block == "true" and inner:
                kind = inner[1][0].upper() + inner[1][1:]
                inside = self.block(self.functions[inner[0]], kind, self.classes.get(kind + "OutputReference", ""))
                blocks[name] = {"nesting": nesting, "required": must, "block": inside}
                continue
            kind = ["set", typed(storage)[1]] if nesting == "set" and storage.endswith("List") else typed(storage)
            attributes[name] = {"type": kind, "required": must, "optional": not must, "computed": not must and name in FILLED_IN}
        for name, getter in COMPUTED.findall(of_class):
            if name not in attributes and name not in blocks:
                told = re.search(r"get(String|Number|Boolean)?(List|Map)?Attribute", getter)
                storage = ((told[1] or "String").lower() + (told[2] or "")) if told else "any"
                attributes[name] = {"type": typed(storage), "required": False, "optional": False, "computed": True}
        return {"attributes": attributes, "blocks": blocks}

    def schema(self):
        text = self.classes[self.main]
        result = self.block(text[text.index("synthesizeHclAttributes") :], self.main + "Config", text)
        # By this each is found again, whatever the package says of it.
        result["attributes"].setdefault("id", {"type": "string", "required": False, "optional": True, "computed": True})
        return re.search(r"terraformResourceType: '(\w+)'", text)[1], result


def main(package):
    files, found = {}, {"resource": {}, "data": {}}
    with tarfile.open(package) as archive:
        for member in archive:
            *_, folder, name = member.name.split("/")
            service = folder.removeprefix("data-aws-").replace("-", "_")
            if name in ("index.js", "index.d.ts") and service.startswith(tuple(SERVICES)):
                # The last line is a source map, which is most of the file.
                text = archive.extractfile(member).read().decode().split("//# sourceMappingURL")[0]
                files.setdefault(folder, {})[name] = text
    for folder, texts in files.items():
        source = Source(texts["index.js"], texts["index.d.ts"])
        if source.main:
            name, result = source.schema()
            found["data" if folder.startswith("data-aws-") else "resource"][name] = result
    json.dump(found, sys.stdout, sort_keys=True)


if __name__ == "__main__":
    main(sys.argv[1])
