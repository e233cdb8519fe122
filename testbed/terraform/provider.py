"""A stand-in for the AWS provider: it knows the schema and does nothing, which is all that `validate` and `test` with mocks ask for.

provider.py SCHEMA.json
"""

import json
import sys

import tf.provider
from tf.gen import tfplugin_pb2 as pb
from tf.runner import run_provider

NESTING = {
    "list": pb.Schema.NestedBlock.LIST,
    "set": pb.Schema.NestedBlock.SET,
    "map": pb.Schema.NestedBlock.MAP,
    "struct": pb.Schema.NestedBlock.SINGLE,
}


def block(told):
    attributes = [
        pb.Schema.Attribute(
            name=name,
            type=json.dumps(argument["type"]).encode(),
            required=argument["required"],
            optional=argument["optional"],
            computed=argument["computed"],
        )
        for name, argument in told["attributes"].items()
    ]
    blocks = [
        pb.Schema.NestedBlock(
            type_name=name,
            nesting=NESTING[inner["nesting"]],
            min_items=int(inner["required"] and inner["nesting"] in ("list", "set")),
            block=block(inner["block"]),
        )
        for name, inner in told["blocks"].items()
    ]
    return pb.Schema.Block(attributes=attributes, block_types=blocks)


def schemas(told):
    return {name: pb.Schema(version=0, block=block(inside)) for name, inside in told.items()}


def servicer(told):
    class StandIn(tf.provider.ProviderServicer):
        def GetProviderSchema(self, request, context):
            region = pb.Schema.Attribute(name="region", type=b'"string"', optional=True)
            return pb.GetProviderSchema.Response(
                provider=pb.Schema(version=0, block=pb.Schema.Block(attributes=[region])),
                resource_schemas=schemas(told["resource"]),
                data_source_schemas=schemas(told["data"]),
            )

        # Terraform itself holds every argument against the schema; there is nothing more to say.
        def ValidateProviderConfig(self, request, context):
            return pb.ValidateProviderConfig.Response()

        def ValidateResourceConfig(self, request, context):
            return pb.ValidateResourceConfig.Response()

        def ValidateDataResourceConfig(self, request, context):
            return pb.ValidateDataResourceConfig.Response()

        def ConfigureProvider(self, request, context):
            return pb.ConfigureProvider.Response()

    return StandIn


class Name:
    def full_name(self):
        return "hashicorp/aws"


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        tf.provider.ProviderServicer = servicer(json.load(file))
    run_provider(Name(), sys.argv[:1])
