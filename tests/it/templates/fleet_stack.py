"""deploy/fleet.yaml, with what every stack of it must be told."""

import cfn

TEMPLATE = "deploy/fleet.yaml"
NEEDED = {
    "ImageUri": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/pgseal:lambda",
    "EcsImageUri": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/pgseal:ecs",
    "VpcId": "vpc-0a1b2c3d",
    "SubnetIds": "subnet-0a1b2c3d,subnet-1a2b3c4d",
    "DatabaseCidr": "10.0.0.0/16",
    "BucketName": "acme-backups",
    "AllowedFingerprints": "ab" * 32,
}


def fleet(**given):
    return cfn.Stack(TEMPLATE, NEEDED | given)
