# Who may put what under which prefix, and who reads.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
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
      ["TlsOnly", "Deny"], ["NothingIsOverwritten", "Deny"], ["NoLockIsLifted", "Deny"], ["NobodyElseWrites", "Deny"],
      ["WriteBackups111122223333", "Allow"], ["SeeWhetherItIsDone111122223333", "Allow"], ["FindTheBucket111122223333", "Allow"],
    ]
    error_message = "The statements are others."
  }

  assert {
    condition = jsondecode(output.policy).Statement[3] == {
      Sid       = "NobodyElseWrites"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = "arn:aws:s3:::vault/*"
      Condition = { StringNotEquals = { "aws:PrincipalAccount" = ["111122223333"] } }
    }
    error_message = "Nobody but the writer may put, not even this account."
  }

  assert {
    condition = jsondecode(output.policy).Statement[4] == {
      Sid       = "WriteBackups111122223333"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::111122223333:root" }
      Action    = ["s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectRetention", "s3:AbortMultipartUpload"]
      Resource  = "arn:aws:s3:::vault/backups/111122223333/*"
    }
    error_message = "The writer puts under its own prefix."
  }

  assert {
    condition     = jsondecode(output.policy).Statement[5].Resource == "arn:aws:s3:::vault/backups/111122223333/*.manifest*.jsonl" && jsondecode(output.policy).Statement[5].Action == "s3:GetObject"
    error_message = "The writer reads its manifests, and nothing else."
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
      ReadBackups = [["s3:GetObject", "s3:GetObjectVersion"], ["arn:aws:s3:::vault/backups/111122223333/*"]]
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
    condition = jsondecode(output.policy).Statement[3].Condition == {
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

  assert {
    condition     = length(aws_iam_role.reader) == 0
    error_message = "No reader was named."
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
