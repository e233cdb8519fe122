# A plan must be possible before anything is there: counts and keys come from what is written, not from what is made.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
  mock_data "aws_db_instance" {
    defaults = { address = "orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com", resource_id = "db-ABC", vpc_security_groups = ["sg-1"] }
  }
  mock_data "aws_rds_cluster" {
    defaults = { reader_endpoint = "ledger.cluster-ro-cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com", cluster_resource_id = "cluster-ABC", vpc_security_group_ids = ["sg-2"] }
  }
  mock_data "aws_ecr_repository" {
    defaults = { repository_url = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/pgseal" }
  }
}

run "nothing_is_known" {
  command = plan

  module {
    source = "./tests/unknown"
  }
}

run "the_example" {
  variables {
    vpc_id     = "vpc-1"
    subnet_ids = ["subnet-1", "subnet-2"]
  }

  module {
    source = "./examples/complete"
  }

  assert {
    condition     = length(output.task_definition_arns) == 2 && strcontains(output.reader_policy, "s3:GetObjectVersion")
    error_message = "The example makes two backups."
  }
}
