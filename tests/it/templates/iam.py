"""The policies of template.yaml and deploy/vault.yaml against requests: what the program does is allowed, and what harms is not."""

import fnmatch
import itertools
import json
import re

import cfn

VAULT, WRITER, OTHER = "444455556666", cfn.ACCOUNT, "999900001111"
KEY = "arn:aws:kms:eu-west-1:111122223333:key/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
IF_NONE_MATCH = {"s3:if-none-match": "*", "s3:ObjectCreationOperation": "true"}
PART = {"s3:ObjectCreationOperation": "false"}


def listed(value):
    return value if isinstance(value, list) else [value]


def like(pattern, text):
    # fnmatch's brackets mean nothing to IAM.
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def holds(operator, key, values, context):
    """One condition, as IAM's reference has it; a key that is not in the request fits nothing but `Null` and the negated."""
    if_exists = operator.endswith("IfExists")
    operator = operator.removesuffix("IfExists")
    values = [str(value) for value in listed(values)]
    if operator == "Null":
        return (key not in context) == (values == ["true"])
    if operator == "StringNotEquals":
        return str(context.get(key)) not in values
    if key not in context:
        return if_exists
    if operator == "NumericGreaterThan":
        return any(float(context[key]) > float(value) for value in values)
    if operator in ("StringEquals", "Bool"):
        return str(context[key]) in values
    assert operator in ("StringLike", "ArnLike", "ArnEquals"), operator
    return any(like(value, str(context[key])) for value in values)


def filled(text, context):
    return re.sub(r"\$\{([^}]+)\}", lambda match: str(context.get(match.group(1), "\0")), text)


def fits(statement, request):
    context = request["context"]
    if "Principal" in statement:
        principal = statement["Principal"]
        named = ["*"] if principal == "*" else listed(principal.get("AWS", []))
        if not any(name == "*" or name == context["aws:PrincipalAccount"] for name in named):
            return False
    if not any(like(action.lower(), request["action"].lower()) for action in listed(statement["Action"])):
        return False
    # A variable that is not in the request has no value: nothing is like it.
    named = listed(statement.get("Resource", statement.get("NotResource")))
    if any(like(filled(resource, context), request["resource"]) for resource in named) != ("Resource" in statement):
        return False
    blocks = statement.get("Condition", {})
    return all(
        holds(operator, key, [filled(str(value), context) for value in listed(values)], context)
        for operator, block in blocks.items()
        for key, values in block.items()
    )


def allowed(request, identity, resource, same_account):
    """Denied if anything denies; across accounts both sides must allow, within one either."""
    for statement in identity + resource:
        if statement["Effect"] == "Deny" and fits(statement, request):
            return False
    sides = [any(s["Effect"] == "Allow" and fits(s, request) for s in side) for side in (identity, resource)]
    return any(sides) if same_account else all(sides)


def statements(stack, *names):
    found = []
    for name in names:
        properties = stack.properties(name)
        documents = [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        documents += [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        assert documents, name
        for document in documents:
            assert document["Version"] == "2012-10-17"
            found += document["Statement"]
    # A made bucket is <BackupBucket>, and its ARN <BackupBucket.Arn>.
    text = json.dumps(found).replace("<Vault.Arn>", "arn:aws:s3:::<Vault>")
    return json.loads(text.replace("<BackupBucket.Arn>", "arn:aws:s3:::<BackupBucket>"))


def request(action, bucket, key=None, account=WRITER, **context):
    name = f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")
    told = {"aws:SecureTransport": "true", "aws:PrincipalAccount": account}
    return {"action": action, "resource": name, "context": told | context}


def bucket_rules(bucket, prefix, writer, resource, owner, **of_members):
    """The requests of a writer, each with what must come of it. All but strangers have `of_members` in their requests."""
    stem = f"{prefix}/orders/app_20261124T020000Z"
    manifest, dump = f"{stem}.manifest.jsonl", f"{stem}.3f9a12bc.sql.bz2.enc"
    put = "s3:PutObject"
    for expected, what, asked in [
        (True, "a new object", request(put, bucket, manifest, **IF_NONE_MATCH)),
        (False, "an overwrite", request(put, bucket, manifest, **{"s3:ObjectCreationOperation": "true"})),
        (True, "a part of an upload", request(put, bucket, dump, **PART)),
        (True, "the end of an upload", request(put, bucket, dump, **IF_NONE_MATCH)),
        (False, "the end of an upload over another", request(put, bucket, dump, **{"s3:ObjectCreationOperation": "true"})),
        (True, "an abort", request("s3:AbortMultipartUpload", bucket, dump)),
        (False, "plain http", request(put, bucket, manifest, **IF_NONE_MATCH | {"aws:SecureTransport": "false"})),
        (False, "a foreign prefix", request(put, bucket, "elsewhere/app", **IF_NONE_MATCH)),
        (False, "beside the prefix", request(put, bucket, f"{prefix}-2/app", **IF_NONE_MATCH)),
        (False, "a deletion", request("s3:DeleteObject", bucket, manifest)),
        (False, "a deletion of a version", request("s3:DeleteObjectVersion", bucket, manifest)),
        (False, "a lock lifted", request("s3:BypassGovernanceRetention", bucket, manifest)),
        (False, "another policy", request("s3:PutBucketPolicy", bucket)),
        (False, "another lifecycle", request("s3:PutLifecycleConfiguration", bucket)),
        (True, "its own manifest", request("s3:GetObject", bucket, manifest)),
        (True, "its manifest's revision", request("s3:GetObject", bucket, f"{stem}.manifest.2.jsonl")),
        (False, "a dump", request("s3:GetObject", bucket, dump)),
        (False, "a key", request("s3:GetObject", bucket, f"{stem}.key.0a1b2c3d.enc")),
        (True, "a list", request("s3:ListBucket", bucket, **{"s3:prefix": f"{prefix}/orders/app_"})),
        (True, "unfinished uploads", request("s3:ListBucketMultipartUploads", bucket)),
        (True, "a look at versioning", request("s3:GetBucketVersioning", bucket)),
        (True, "a look at locks", request("s3:GetBucketObjectLockConfiguration", bucket)),
        (True, "a class", request("s3:PutObjectTagging", bucket, manifest)),
        (True, "a lock", request("s3:PutObjectRetention", bucket, manifest)),
    ]:
        asked["context"] |= of_members
        is_own = asked["context"]["aws:PrincipalAccount"] == owner
        assert allowed(asked, writer, resource, is_own) == expected, f"{what} is{' not' if expected else ''} allowed"
    # Whoever comes with every right on their own side.
    anything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    for asked in [
        request(put, bucket, manifest, account=OTHER, **IF_NONE_MATCH),
        request("s3:GetObject", bucket, manifest, account=OTHER),
        request("s3:ListBucket", bucket, account=OTHER, **{"s3:prefix": f"{prefix}/orders/"}),
    ]:
        assert not allowed(asked, anything, resource, False), f"another account: {asked}"
    for asked in [
        request("s3:BypassGovernanceRetention", bucket, manifest, account=owner),
        request(put, bucket, manifest, account=owner, **{"s3:ObjectCreationOperation": "true"}),
    ]:
        asked["context"] |= of_members
        assert not allowed(asked, anything, resource, True), f"the owner's administrators: {asked}"


def template_alone():
    stack = cfn.template(Retention="gfs", **cfn.ECS)
    writer, resource = statements(stack, "BackupPolicy"), statements(stack, "BackupBucketPolicy")
    bucket_rules("<BackupBucket>", "backups", writer, resource, WRITER)
    # Without classes there is no tag and no lock of one's own, nor the right.
    plain = statements(cfn.template(), "BackupPolicy")
    for action in ("s3:PutObjectTagging", "s3:PutObjectRetention"):
        assert not allowed(request(action, "<BackupBucket>", "backups/x"), plain, resource, True), action
    unlocked = statements(cfn.template(Retention="daily", LockMode="NONE"), "BackupPolicy")
    assert allowed(request("s3:PutObjectTagging", "<BackupBucket>", "backups/x"), unlocked, resource, True)
    assert not allowed(request("s3:PutObjectRetention", "<BackupBucket>", "backups/x"), unlocked, resource, True)


def locks_of_the_made_bucket():
    """No lock outlasts what the bucket removes, or has another mode: also not that of another stack, which shares the bucket."""
    anything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    key = "backups/billing/x.manifest.jsonl"
    for given, longest, mode in [
        ({}, 90, "GOVERNANCE"),
        ({"LockMode": "COMPLIANCE"}, 90, "COMPLIANCE"),
        ({"LockMode": "NONE", "ExpirationDays": "400"}, 400, None),
        ({"Retention": "gfs"}, 2600, "GOVERNANCE"),
        ({"Retention": "daily", "LockMode": "NONE"}, 2600, None),
        ({"Retention": "weekly", "LockMode": "COMPLIANCE", "YearlyDays": "3660"}, 3660, "COMPLIANCE"),
    ]:
        resource = statements(cfn.template(**given), "BackupBucketPolicy")
        for action, days, other in itertools.product(
            ("s3:PutObject", "s3:PutObjectRetention"), (1, longest, longest + 1, 36500), ("GOVERNANCE", "COMPLIANCE")
        ):
            context = {"s3:object-lock-remaining-retention-days": days, "s3:object-lock-mode": other} | IF_NONE_MATCH
            asked = request(action, "<BackupBucket>", key, **context)
            expected = days <= longest and other == mode
            assert allowed(asked, anything, resource, True) == expected, (given, action, days, other)
        # What asks for no lock gets the bucket's own.
        assert allowed(request("s3:PutObject", "<BackupBucket>", key, **IF_NONE_MATCH), anything, resource, True), given


def template_with_vault():
    anything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    prefix = f"backups/{WRITER}/eu-west-1"
    stack = cfn.template(ExistingBucketName="acme-vault", ExistingBucketOwner=VAULT, Prefix=prefix, Retention="gfs")
    assert "BackupBucket" not in stack.made and "BackupBucketPolicy" not in stack.made
    writer = statements(stack, "BackupPolicy")
    member = {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}
    for given in [{"WriterAccounts": f"{WRITER},222233334444"}, {"OrganizationId": member["aws:PrincipalOrgID"]}]:
        vault = cfn.Stack("deploy/vault.yaml", given, VAULT)
        resource = json.loads(json.dumps(statements(vault, "VaultPolicy")).replace("<Vault>", "acme-vault"))
        bucket_rules("acme-vault", prefix, writer, resource, VAULT, **member)
        # A second account of the vault below the first one's number, with every right on its own side.
        key = f"{prefix}/orders/x.manifest.jsonl"
        for asked in [
            request("s3:PutObject", "acme-vault", key, "222233334444", **IF_NONE_MATCH | member),
            request("s3:GetObject", "acme-vault", key, "222233334444", **member),
            request("s3:ListBucket", "acme-vault", None, "222233334444", **member | {"s3:prefix": f"{prefix}/x"}),
            request("s3:ListBucket", "acme-vault", None, "222233334444", **member),
        ]:
            assert not allowed(asked, anything, resource, False), asked
        own = request("s3:PutObject", "acme-vault", "backups/222233334444/x", "222233334444", **IF_NONE_MATCH | member)
        assert allowed(own, anything, resource, False)
        administrator = request("s3:PutObject", "acme-vault", f"backups/{VAULT}/x", VAULT, **IF_NONE_MATCH)
        assert not allowed(administrator, anything, resource, True), "the vault's own account is no writer"
        for days, expected in [("2599", True), ("36500", False)]:
            key = f"{prefix}/orders/x.manifest.jsonl"
            context = {"s3:object-lock-remaining-retention-days": days} | member
            asked = request("s3:PutObjectRetention", "acme-vault", key, **context)
            assert allowed(asked, writer, resource, False) == expected, asked
        # Nobody writes but below their own number: not the account of the vault either, whose policies alone would do.
        for account, key, expected in [
            (VAULT, f"{prefix}/orders/y.manifest.jsonl", False),
            (VAULT, "backups/y.manifest.jsonl", False),
            (VAULT, "elsewhere/y", False),
            (WRITER, "elsewhere/y", False),
            (WRITER, f"{prefix}/orders/y.manifest.jsonl", True),
        ]:
            asked = request("s3:PutObject", "acme-vault", key, account, **IF_NONE_MATCH | member)
            assert allowed(asked, anything, resource, account == VAULT) == expected, asked
        # Locks are of the vault's mode: nobody can bind its owner for years by the other one.
        for mode in ("GOVERNANCE", "COMPLIANCE"):
            strict = statements(cfn.Stack("deploy/vault.yaml", given | {"LockMode": mode}, VAULT), "VaultPolicy")
            strict = json.loads(json.dumps(strict).replace("<Vault>", "acme-vault"))
            for action, asked_for in itertools.product(("s3:PutObject", "s3:PutObjectRetention"), ("GOVERNANCE", "COMPLIANCE")):
                context = {"s3:object-lock-mode": asked_for} | IF_NONE_MATCH | member
                asked = request(action, "acme-vault", f"{prefix}/orders/x.manifest.jsonl", **context)
                assert allowed(asked, writer, strict, False) == (asked_for == mode), (mode, asked)
        # Those who hold drills read all, leave reports, and nothing else; the same as the module of Terraform.
        reader = "777788889999"
        drilled = statements(cfn.Stack("deploy/vault.yaml", given | {"ReaderAccounts": reader}, VAULT), "VaultPolicy")
        drilled = json.loads(json.dumps(drilled).replace("<Vault>", "acme-vault"))
        report = "drills/app_20261124T020000Z.drill-20261129T110322123Z.json"
        for account, action, key, expected in [
            (reader, "s3:GetObject", f"{prefix}/orders/x.sql.bz2.enc", True),
            (reader, "s3:ListBucket", None, True),
            (reader, "s3:PutObject", report, True),
            # `pgseal fleet status --reports s3://acme-vault/drills`.
            *[(reader, action, report, True) for action in ("s3:GetObject", "s3:GetObjectVersion")],
            (reader, "s3:GetObject", "drills/x", False),
            (VAULT, "s3:PutObject", report, True),
            (reader, "s3:PutObject", "drills/x", False),
            (reader, "s3:PutObject", f"{prefix}/orders/x.drill-1.json", False),
            (reader, "s3:DeleteObject", report, False),
            (WRITER, "s3:PutObject", report, False),
            (WRITER, "s3:GetObject", report, False),
            (OTHER, "s3:PutObject", report, False),
            (OTHER, "s3:GetObject", report, False),
            (OTHER, "s3:GetObject", f"{prefix}/orders/x.sql.bz2.enc", False),
        ]:
            asked = request(action, "acme-vault", key, account, **IF_NONE_MATCH | (member if account == WRITER else {}))
            assert allowed(asked, anything, drilled, account == VAULT) == expected, (account, asked)
        for account in (reader, WRITER):
            asked = request("s3:PutObject", "acme-vault", report, account, **IF_NONE_MATCH)
            assert not allowed(asked, anything, resource, False), "nobody reads but who is named"
        # A stranger below a number of their own, and where no number is asked for.
        for action, key, context in [
            ("s3:PutObject", f"backups/{OTHER}/x", IF_NONE_MATCH),
            ("s3:GetObject", f"backups/{OTHER}/x.manifest.jsonl", {}),
            ("s3:ListBucket", None, {"s3:prefix": f"backups/{OTHER}/x"}),
            ("s3:ListBucketMultipartUploads", None, {}),
            ("s3:GetLifecycleConfiguration", None, {}),
        ]:
            asked = request(action, "acme-vault", key, OTHER, **context)
            assert not allowed(asked, anything, resource, False), asked
            asked["context"]["aws:PrincipalOrgID"] = "o-another0000"
            assert not allowed(asked, anything, resource, False), asked

        key = cfn.Stack("deploy/vault.yaml", given | {"KmsKey": "true"}, VAULT).properties("VaultKey")["KeyPolicy"]["Statement"]
        via = {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}
        for expected, account, action, context in [
            (True, WRITER, "kms:GenerateDataKey", via | member),
            (True, WRITER, "kms:Decrypt", via | member),
            (False, WRITER, "kms:Decrypt", member),
            (False, WRITER, "kms:ScheduleKeyDeletion", via | member),
            (False, OTHER, "kms:Decrypt", via),
        ]:
            asked = {"action": action, "resource": "*", "context": {"aws:PrincipalAccount": account} | context}
            assert allowed(asked, anything, key, False) == expected, asked


def readers():
    vault = cfn.Stack(
        "deploy/vault.yaml",
        {"WriterAccounts": WRITER, "KmsKey": "true", "ReaderPrincipals": f"arn:aws:iam::{OTHER}:role/restore"},
    )
    (trust,) = vault.properties("ReaderRole")["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": [f"arn:aws:iam::{OTHER}:role/restore"]} and trust["Action"] == "sts:AssumeRole"
    stack = cfn.template(KmsKeyArn=KEY, **cfn.DRILL)
    drill = statements(stack, "ReaderPolicy", "DrillRole")
    for bucket, role in [("<Vault>", statements(vault, "ReaderRole")), ("<BackupBucket>", drill)]:
        for action in ("s3:GetObject", "s3:GetObjectVersion"):
            assert allowed(request(action, bucket, "backups/1/x.enc"), role, [], True), action
            # For `pgseal fleet status --reports`, and nothing else below that prefix.
            assert allowed(request(action, bucket, "drills/orders/app.drill-1.json"), role, [], True), action
            assert not allowed(request(action, bucket, "drills/orders/x.enc"), role, [], True), action
            assert not allowed(request(action, bucket, "elsewhere/x.enc"), role, [], True), action
        assert allowed(request("s3:ListBucket", bucket), role, [], True)
        for action in ("s3:PutObject", "s3:DeleteObject", "s3:PutObjectTagging", "s3:PutObjectRetention"):
            assert not allowed(request(action, bucket, "backups/1/x.enc", **IF_NONE_MATCH), role, [], True), action
    assert allowed(request("s3:PutObject", "<BackupBucket>", "drills/app.drill-1.json"), drill, [], True)
    # Below whatever prefix, also that of backups: nothing but reports, so that no drill leaves a manifest.
    for prefix in ("drills", "backups"):
        drill = statements(cfn.template(**cfn.DRILL, ReportPrefix=prefix), "ReaderPolicy", "DrillRole")
        stem = f"{prefix}/orders/app_20261124T020000Z"
        for name, expected in [
            (f"{stem}.drill-20261129T110322123Z.json", True),
            (f"{stem}.drill-20261129T110322123Z.html", True),
            (f"{stem}.manifest.jsonl", False),
            (f"{stem}.manifest.2.jsonl", False),
            (f"{stem}.3f9a12bc.sql.bz2.enc", False),
        ]:
            assert allowed(request("s3:PutObject", "<BackupBucket>", name), drill, [], True) == expected, name
    secret = {"context": {"aws:PrincipalAccount": WRITER}, "action": "secretsmanager:GetSecretValue"}
    assert allowed(secret | {"resource": cfn.DRILL["DrillKeySecretArn"]}, drill, [], True)
    assert not allowed(secret | {"resource": cfn.DRILL["DrillKeySecretArn"] + "-2"}, drill, [], True)
    for writer in ("BackupPolicy", "FunctionRole"):
        role = statements(stack, writer)
        assert not allowed(secret | {"resource": cfn.DRILL["DrillKeySecretArn"]}, role, [], True), "a writer reads no key"


def keys_and_logins():
    stack = cfn.template(
        KmsKeyArn=KEY, SigningKeyArn=KEY.replace("0f1e", "aaaa"), PublicKey="", RecipientsPath="/pgseal/r",
        AllowedFingerprints="ab" * 32,
    )
    role = statements(stack, "BackupPolicy", "FunctionRole")
    vias = "kms:ViaService"
    login = "arn:aws:rds-db:eu-west-1:111122223333:dbuser:db-ABCDEFGHIJKL01234/"
    path = "arn:aws:ssm:eu-west-1:111122223333:parameter/pgseal/r"
    ours = "arn:aws:lambda:eu-west-1:111122223333:function:pgseal-BackupFunction-a1B2"
    for expected, action, resource, context in [
        (True, "kms:GenerateDataKey", KEY, {vias: "s3.eu-west-1.amazonaws.com"}),
        (False, "kms:GenerateDataKey", KEY, {}),
        (False, "kms:Decrypt", KEY, {vias: "lambda.eu-west-1.amazonaws.com"}),
        (False, "kms:Sign", KEY, {}),
        (True, "kms:Sign", KEY.replace("0f1e", "aaaa"), {}),
        (True, "kms:GetPublicKey", KEY.replace("0f1e", "aaaa"), {}),
        (True, "rds-db:connect", login + "backup", {}),
        (False, "rds-db:connect", login + "postgres", {}),
        (True, "ssm:GetParametersByPath", path, {}),
        (False, "ssm:GetParametersByPath", path + "2", {}),
        (False, "ssm:PutParameter", path + "/x", {}),
        (True, "ec2:CreateNetworkInterface", "arn:aws:ec2:eu-west-1:111122223333:network-interface/*", {}),
        (False, "ec2:CreateNetworkInterface", "*", {"lambda:SourceFunctionArn": ours}),
        (False, "ec2:DescribeSubnets", "*", {"lambda:SourceFunctionArn": ours}),
        (True, "logs:PutLogEvents", "<FunctionLogs.Arn>", {}),
        (False, "logs:PutLogEvents", "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/other:*", {}),
        (True, "sqs:SendMessage", "<FailedBackups.Arn>", {}),
        (False, "events:PutEvents", "arn:aws:events:eu-west-1:111122223333:event-bus/default", {}),
    ]:
        asked = {"action": action, "resource": resource, "context": {"aws:PrincipalAccount": WRITER} | context}
        assert allowed(asked, role, [], True) == expected, (expected, action, resource, context)


def every_role():
    given = cfn.ECS | cfn.DRILL | {"EcsSchedule": "rate(1 day)", "DrillSchedule": "rate(2 days)", "SuccessEvents": "true"}
    boundary = "arn:aws:iam::111122223333:policy/boundary"
    stack = cfn.template(PermissionsBoundaryArn=boundary, ExtraPolicyArn=boundary.replace("boundary", "extra"), **given)
    for name in sorted(stack.of_type("AWS::IAM::Role")):
        role = stack.properties(name)
        assert role["PermissionsBoundary"] == boundary, name
        assert "RoleName" not in role, name
        assert not any(":aws:policy/" in str(arn) for arn in role.get("ManagedPolicyArns", [])), f"{name}: AWS's own policy"
        has_extra = boundary.replace("boundary", "extra") in role.get("ManagedPolicyArns", [])
        assert has_extra == (name in ("FunctionRole", "TaskRole")), name
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = listed(statement["Action"])
                assert not any("*" in action for action in actions), (name, actions)
                if statement["Resource"] == "*" and statement["Effect"] == "Allow":
                    # AWS knows no resource for these.
                    assert all(action.startswith("ec2:") or action == "ecr:GetAuthorizationToken" for action in actions), name
    for name in cfn.template().of_type("AWS::IAM::Role"):
        assert "PermissionsBoundary" not in cfn.template().properties(name), name
    # Who may be run by whom.
    for schedule, role, task in [("TaskSchedule", "TaskScheduleRole", "BackupTask"), ("ScheduledDrill", "DrillScheduleRole", "DrillTask")]:
        target = stack.properties(schedule)["Target"]
        assert target["RoleArn"] == f"<{role}.Arn>" and target["EcsParameters"]["TaskDefinitionArn"] == f"<{task}>"
        run, passed, letter = statements(stack, role)
        assert run["Resource"] == f"<{task}>" and run["Condition"]["ArnEquals"]["ecs:cluster"] == target["Arn"]
        of_task = stack.properties(task)
        assert set(passed["Resource"]) == {of_task["TaskRoleArn"], of_task["ExecutionRoleArn"]}
        assert letter["Resource"] == target["DeadLetterConfig"]["Arn"]


# fleet.py takes what is above.
if __name__ == "__main__":
    template_alone()
    locks_of_the_made_bucket()
    template_with_vault()
    readers()
    keys_and_logins()
    every_role()
    print("policies: ok")
