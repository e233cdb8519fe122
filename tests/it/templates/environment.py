"""What template.yaml tells the function and allows it, as JSON, for a test that asks the program what it needs.

A list of {"given": parameters, "environment": variables, "actions": those of BackupPolicy but what only `check` looks at}.
"""

import json

import cfn

KEY = "arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
SETS = [
    {},
    {"Retention": "gfs"},
    {"Retention": "gfs", "EventDefaults": '{"globals": true, "exclude_databases": ["scratch"]}', "DatabaseName": "*"},
    {"Retention": "yearly", "LockMode": "COMPLIANCE", "RetentionTimezone": "Europe/Berlin"},
    {"Retention": "weekly", "LockMode": "NONE"},
    {"SigningKeyArn": KEY, "AllowedFingerprints": "ab" * 32},
    {"Compression": "zstd:19", "RateLimit": "1.5G", "EventFields": "action,scheduled_time,database"},
    {"ExistingBucketName": "acme-vault", "ExistingBucketOwner": "444455556666", "Prefix": "backups/111122223333/eu-west-1"},
]


def case(given):
    stack = cfn.template(**given)
    variables = stack.properties("BackupFunction")["Environment"]["Variables"]
    variables = {name: str(value).replace("<BackupBucket>", "acme-backups") for name, value in variables.items()}
    actions = set()
    for statement in stack.properties("BackupPolicy")["PolicyDocument"]["Statement"]:
        if statement["Sid"] != "LookAtTheBucket":
            action = statement["Action"]
            actions.update(action if isinstance(action, list) else [action])
    return {"given": given, "environment": variables, "actions": sorted(actions)}


print(json.dumps([case(given) for given in SETS]))
