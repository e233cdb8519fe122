# Who may put what under which prefix, and who reads.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "444455556666" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::vault", id = "vault" }
  }
}

variables {
  bucket            = "vault"
  writers           = { "111122223333" = {} }
  reader_principals = ["arn:aws:iam::444455556666:role/restore"]
}

run "one_writer" {
  assert {
    condition = [for statement in jsondecode(output.policy).Statement : [statement.Sid, statement.Effect]] == [
      ["TlsOnly", "Deny"], ["NothingIsOverwritten", "Deny"], ["NoLockIsLifted", "Deny"], ["NoLockIsLongerThanTheLongest", "Deny"],
      ["LocksHaveTheModeOfTheBucket", "Deny"], ["NobodyElseWrites", "Deny"], ["NobodyElseReports", "Deny"], ["EachBelowItsOwnNumber", "Deny"],
      ["WriteBackups", "Allow"], ["SeeWhetherItIsDone", "Allow"], ["ListOnesOwn", "Allow"], ["LookAtTheBucket", "Allow"],
    ]
    error_message = "The statements are others."
  }

  assert {
    condition = { for statement in jsondecode(output.policy).Statement : statement.Sid => statement if can(regex("NobodyElse|EachBelow|Locks", statement.Sid)) } == {
      NobodyElseWrites = {
        Sid         = "NobodyElseWrites"
        Effect      = "Deny"
        Principal   = "*"
        Action      = "s3:PutObject"
        NotResource = ["arn:aws:s3:::vault/drills/*.drill-*"]
        Condition   = { StringNotEquals = { "aws:PrincipalAccount" = ["111122223333"] } }
      }
      NobodyElseReports = {
        Sid       = "NobodyElseReports"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = ["arn:aws:s3:::vault/drills/*.drill-*"]
        Condition = { StringNotEquals = { "aws:PrincipalAccount" = ["444455556666"] } }
      }
      EachBelowItsOwnNumber = {
        Sid       = "EachBelowItsOwnNumber"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        NotResource = [
          "arn:aws:s3:::vault/backups/$${aws:PrincipalAccount}/*", "arn:aws:s3:::vault/drills/*.drill-*",
        ]
      }
      LocksHaveTheModeOfTheBucket = {
        Sid       = "LocksHaveTheModeOfTheBucket"
        Effect    = "Deny"
        Principal = "*"
        Action    = ["s3:PutObject", "s3:PutObjectRetention"]
        Resource  = "arn:aws:s3:::vault/*"
        Condition = { Null = { "s3:object-lock-mode" = "false" }, StringNotEquals = { "s3:object-lock-mode" = "GOVERNANCE" } }
      }
    }
    error_message = "Nobody but the writer may put, each below its number; this account leaves reports of drills alone; locks have the vault's mode."
  }

  assert {
    condition = { for statement in jsondecode(output.policy).Statement : statement.Sid => [statement.Principal, statement.Action, statement.Resource] if statement.Effect == "Allow" } == {
      WriteBackups = [{ AWS = ["arn:aws:iam::111122223333:root"] }, ["s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectRetention", "s3:AbortMultipartUpload"],
      "arn:aws:s3:::vault/backups/$${aws:PrincipalAccount}/*"]
      SeeWhetherItIsDone = [{ AWS = ["arn:aws:iam::111122223333:root"] }, "s3:GetObject", "arn:aws:s3:::vault/backups/$${aws:PrincipalAccount}/*.manifest*.jsonl"]
      ListOnesOwn        = [{ AWS = ["arn:aws:iam::111122223333:root"] }, "s3:ListBucket", "arn:aws:s3:::vault"]
      LookAtTheBucket = [{ AWS = ["arn:aws:iam::111122223333:root"] }, [
        "s3:ListBucketMultipartUploads", "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration", "s3:GetBucketObjectLockConfiguration",
      "s3:GetLifecycleConfiguration"], "arn:aws:s3:::vault"]
    }
    error_message = "The writer puts under its own prefix, and reads its manifests and nothing else."
  }

  assert {
    condition = [for statement in jsondecode(output.policy).Statement : statement.Condition if statement.Sid == "ListOnesOwn"] == [
    { StringLike = { "s3:prefix" = "backups/$${aws:PrincipalAccount}/*" } }]
    error_message = "A writer lists its own prefix."
  }

  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : statement.Condition if statement.Sid == "NoLockIsLongerThanTheLongest"] == [{ NumericGreaterThan = { "s3:object-lock-remaining-retention-days" = "2600" } }]
    error_message = "A writer could lock for a century."
  }

  # Nobody is given a right to delete, or to read a dump.
  assert {
    condition     = !anytrue([for statement in jsondecode(output.policy).Statement : statement.Effect == "Allow" && can(regex("Delete|Bypass|\\*", join(" ", flatten([statement.Action]))))])
    error_message = "A writer may delete."
  }

  assert {
    condition     = jsondecode(aws_iam_role.reader[0].assume_role_policy).Statement[0].Principal.AWS == ["arn:aws:iam::444455556666:role/restore"]
    error_message = "The reader's role is for those who are named."
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.reader[0].policy).Statement : statement.Sid => [statement.Action, statement.Resource] } == {
      ReadBackups = [["s3:GetObject", "s3:GetObjectVersion"], ["arn:aws:s3:::vault/backups/*", "arn:aws:s3:::vault/drills/*.drill-*"]]
      FindBackups = [["s3:ListBucket"], ["arn:aws:s3:::vault"]]
    }
    error_message = "The reader only reads."
  }

  assert {
    condition     = output.prefixes["111122223333"] == "backups/111122223333"
    error_message = "The prefix of a writer is told."
  }
}

run "an_organisation_and_an_account" {
  variables {
    organization_id   = "o-abcdefghij"
    writers           = { "111122223333" = { prefix = "legacy" } }
    reader_principals = []
  }

  assert {
    condition = [for statement in jsondecode(output.policy).Statement : statement.Condition if statement.Sid == "NobodyElseWrites"][0] == {
      StringNotEquals = { "aws:PrincipalAccount" = ["111122223333"], "aws:PrincipalOrgID" = ["o-abcdefghij"] }
    }
    error_message = "Refused is who is neither."
  }

  assert {
    condition = [for statement in jsondecode(output.policy).Statement : [statement.Principal, statement.Resource, statement.Condition] if statement.Sid == "WriteBackupsOrganization"][0] == [
      "*", "arn:aws:s3:::vault/backups/$${aws:PrincipalAccount}/*", { StringEquals = { "aws:PrincipalOrgID" = "o-abcdefghij" } }
    ]
    error_message = "Each account of the organisation writes under its own number."
  }

  # Whoever is told another prefix puts there, and the others below their numbers.
  assert {
    condition = { for statement in jsondecode(output.policy).Statement : statement.Sid => [statement.NotResource[0], statement.Condition] if can(regex("Below", statement.Sid)) } == {
      EachBelowItsOwnNumber      = ["arn:aws:s3:::vault/backups/$${aws:PrincipalAccount}/*", { StringNotEquals = { "aws:PrincipalAccount" = ["111122223333"] } }]
      BelowItsPrefix111122223333 = ["arn:aws:s3:::vault/legacy/*", { StringEquals = { "aws:PrincipalAccount" = "111122223333" } }]
    }
    error_message = "A writer puts elsewhere than below its prefix."
  }

  assert {
    condition     = output.prefixes == { "111122223333" = "legacy" }
    error_message = "The prefix of one's own is told."
  }

  assert {
    condition     = length(aws_iam_role.reader) == 0
    error_message = "No reader was named."
  }
}

run "no_lock" {
  variables {
    lock_mode = "NONE"
  }

  assert {
    condition = [for statement in jsondecode(output.policy).Statement : [statement.Action, statement.Condition] if statement.Sid == "LocksHaveTheModeOfTheBucket"] == [
    [["s3:PutObject", "s3:PutObjectRetention"], { Null = { "s3:object-lock-mode" = "false" } }]]
    error_message = "With NONE every lock is refused."
  }

  assert {
    condition = [for statement in jsondecode(output.policy).Statement : statement.Action if statement.Sid == "WriteBackups"] == [
    ["s3:PutObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload"]]
    error_message = "A writer could lock objects of a vault that has no locks."
  }
}

run "nothing_is_made" {
  variables {
    create = false
  }

  assert {
    condition     = output.bucket == null && output.reader_role_arn == null && output.policy == null
    error_message = "create = false must make nothing."
  }
}

run "no_writer" {
  command = plan

  variables {
    writers = {}
  }

  expect_failures = [var.organization_id]
}

run "a_writer_that_is_no_account" {
  command = plan

  variables {
    writers = { "acme" = {} }
  }

  expect_failures = [var.writers]
}

run "readers_of_another_account" {
  variables {
    reader_accounts = ["777788889999"]
    report_prefix   = "reports"
    kms_key_arn     = "arn:aws:kms:eu-west-1:444455556666:key/0f1e2d3c"
  }

  assert {
    condition = { for statement in jsondecode(output.policy).Statement : statement.Sid => [statement.Principal.AWS, statement.Action, statement.Resource] if startswith(statement.Sid, "Readers") } == {
      ReadersRead         = [["arn:aws:iam::777788889999:root"], ["s3:GetObject", "s3:GetObjectVersion"], ["arn:aws:s3:::vault/backups/*", "arn:aws:s3:::vault/reports/*.drill-*"]]
      ReadersFind         = [["arn:aws:iam::777788889999:root"], "s3:ListBucket", "arn:aws:s3:::vault"]
      ReadersLeaveReports = [["arn:aws:iam::777788889999:root"], "s3:PutObject", ["arn:aws:s3:::vault/reports/*.drill-*"]]
    }
    error_message = "An account of drills reads, and leaves reports."
  }

  assert {
    condition = [for statement in jsondecode(output.policy).Statement : statement.Condition.StringNotEquals["aws:PrincipalAccount"] if statement.Sid == "NobodyElseReports"] == [
    ["444455556666", "777788889999"]]
    error_message = "Its reports are refused."
  }

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.reader[0].policy).Statement : statement.Condition if statement.Sid == "OpenTheBucketsEncryption"] == [
    { StringEquals = { "kms:ViaService" = "s3.eu-west-1.amazonaws.com" } }]
    error_message = "The key is for S3 alone."
  }
}

run "as_many_writers_as_there_may_be" {
  variables {
    writers = { for number in range(100) : tostring(111122220000 + number) => {} }
  }

  # S3 takes 20,480 bytes.
  assert {
    condition     = length(output.policy) < 20480 && length(jsondecode(output.policy).Statement) == 12
    error_message = "The policy is too long: ${length(output.policy)}."
  }
}

run "reports_among_backups" {
  command = plan

  variables {
    report_prefix = "backups/111122223333"
  }

  expect_failures = [var.report_prefix]
}

run "a_reader_that_is_no_account" {
  command = plan

  variables {
    reader_accounts = ["acme"]
  }

  expect_failures = [var.reader_accounts]
}

run "a_class_that_would_go_with_the_untagged" {
  command = plan

  variables {
    expiration_days = 90
  }

  expect_failures = [var.expiration_days]
}
