"""What CloudFormation makes of a template and parameters: rules, conditions, functions. As much of it as ours use.

A made resource is `<Name>` as a Ref and `<Name.Attribute>` as a GetAtt, so that tests can tell one from another. SAM's
schedule of a function's event has the function's name and the event's.
"""

import functools
import re

import yaml

ACCOUNT, REGION = "111122223333", "eu-west-1"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "pgseal",
}
NO_VALUE = object()

# A public key of 2,048 bits whose private half nobody kept.
PUBLIC_KEY = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA" + "0" * 340 + "IDAQAB"
)

# What every stack must be told; tests give the rest.
NEEDED = {
    "DatabaseHost": "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com",
    "DatabaseName": "app",
    "DatabaseResourceId": "db-ABCDEFGHIJKL01234",
    "VpcId": "vpc-0a1b2c3d",
    "SubnetIds": "subnet-0a1b2c3d,subnet-1a2b3c4d",
    "DatabaseCidr": "10.0.0.0/16",
    "PublicKey": PUBLIC_KEY,
}
ECS = {"EcsImageUri": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/pgseal:ecs"}
DRILL = {
    "DrillImageUri": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/pgseal:drill",
    "DrillKeySecretArn": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:drill-AbCdEf",
}


class Refused(Exception):
    """CloudFormation would not begin."""


class Loader(yaml.SafeLoader):
    pass


def _tag(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {name: value}


Loader.add_multi_constructor("!", _tag)


@functools.cache
def load(path):
    """What nobody changes: it is read once."""
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader)


class Stack:
    """A template with parameters: `resources` and `outputs` hold what is made, resolved."""

    def __init__(self, template, given, account=ACCOUNT):
        self.pseudo = PSEUDO | {"AWS::AccountId": account}
        self.template = load(template) if isinstance(template, str) else template
        self.parameters = self._parameters(given)
        self._rules()
        conditions = self.template.get("Conditions", {})
        self.conditions = {name: self._truth(value) for name, value in conditions.items()}
        self.made = {
            name
            for name, resource in self.template["Resources"].items()
            if self.conditions.get(resource.get("Condition"), True)
        }
        self.resources = {name: self.resolve(self.template["Resources"][name]) for name in sorted(self.made)}
        self.outputs = {
            name: self.resolve(output["Value"])
            for name, output in self.template.get("Outputs", {}).items()
            if self.conditions.get(output.get("Condition"), True)
        }

    def properties(self, name):
        return self.resources[name].get("Properties", {})

    def of_type(self, kind):
        return {name for name in self.made if self.resources[name]["Type"] == kind}

    def _parameters(self, given):
        declared = self.template["Parameters"]
        unknown = set(given) - set(declared)
        if unknown:
            raise Refused(f"no such parameters: {sorted(unknown)}")
        values = {}
        for name, parameter in declared.items():
            value = given.get(name, parameter.get("Default"))
            if value is None:
                raise Refused(f"{name} must have a value")
            values[name] = self._checked(name, parameter, str(value))
        return values

    @staticmethod
    def _checked(name, parameter, value):
        if "AllowedValues" in parameter and value not in map(str, parameter["AllowedValues"]):
            raise Refused(f"{name}: {value!r} is not among the allowed values")
        if parameter["Type"] == "Number":
            number = float(value)
            if not parameter.get("MinValue", number) <= number <= parameter.get("MaxValue", number):
                raise Refused(f"{name}: {value} is out of its range")
        is_list = parameter["Type"] == "CommaDelimitedList" or parameter["Type"].startswith("List<")
        each = value.split(",") if is_list else [value]
        if "AllowedPattern" in parameter and not all(re.fullmatch(parameter["AllowedPattern"], item) for item in each):
            raise Refused(f"{name}: {value[:60]!r} does not match its pattern")
        if len(value) < parameter.get("MinLength", 0):
            raise Refused(f"{name} is too short")
        return each if is_list else value

    def _rules(self):
        for name, rule in self.template.get("Rules", {}).items():
            if "RuleCondition" in rule and not self._truth(rule["RuleCondition"]):
                continue
            for assertion in rule["Assertions"]:
                if not self._truth(assertion["Assert"]):
                    raise Refused(f"{name}: {assertion['AssertDescription']}")

    def _truth(self, expression):
        ((function, value),) = expression.items()
        if function == "Condition":
            return self._truth(self.template["Conditions"][value])
        if function == "Fn::Equals":
            return str(self.resolve(value[0])) == str(self.resolve(value[1]))
        if function == "Fn::Contains":
            return self.resolve(value[1]) in [str(item) for item in value[0]]
        if function == "Fn::Not":
            (inner,) = value
            return not self._truth(inner)
        assert function in ("Fn::And", "Fn::Or") and 2 <= len(value) <= 10, expression
        return (all if function == "Fn::And" else any)(self._truth(inner) for inner in value)

    def _ref(self, name):
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        events = [function + event for function in self.made for event in self._events(function)]
        assert name in self.made or name in events, f"a reference to {name}, which is not made"
        return f"<{name}>"

    def _events(self, name):
        return self.template["Resources"][name].get("Properties", {}).get("Events", {})

    def _attribute(self, name, attribute):
        assert name in self.made, f"a reference to {name}.{attribute}, and it is not made"
        return f"<{name}.{attribute}>"

    def _sub(self, value):
        text, own = (value, {}) if isinstance(value, str) else value
        own = {name: self.resolve(inner) for name, inner in own.items()}

        def fill(match):
            name = match.group(1)
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in own:
                return str(own[name])
            if "." in name:
                return self._attribute(*name.split(".", 1))
            return str(self._ref(name))

        return re.sub(r"\$\{([^{}]+)\}", fill, text)

    def resolve(self, value):
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, inner),) = value.items()
            if function == "Ref":
                return self._ref(inner)
            if function == "Fn::GetAtt":
                return self._attribute(*inner)
            if function == "Fn::Sub":
                return self._sub(inner)
            if function == "Fn::If":
                condition, yes, no = inner
                return self.resolve(yes if self.conditions[condition] else no)
            if function == "Fn::Join":
                return inner[0].join(str(part) for part in self.resolve(inner[1]))
            if function == "Fn::Split":
                return self.resolve(inner[1]).split(inner[0])
            if function == "Fn::Select":
                return self.resolve(inner[1])[int(inner[0])]
            if function == "Fn::FindInMap":
                table, key, attribute = (self.resolve(part) for part in inner)
                return self.template["Mappings"][table][str(key)][attribute]
            assert not function.startswith("Fn::"), f"{function} is not known here"
        resolved = {key: self.resolve(inner) for key, inner in value.items()}
        return {key: inner for key, inner in resolved.items() if inner is not NO_VALUE}


def template(**given):
    return Stack("template.yaml", NEEDED | given)


def refused(path, given):
    """Why these parameters are refused, or None."""
    try:
        Stack(path, given)
    except Refused as reason:
        return str(reason)
    return None
