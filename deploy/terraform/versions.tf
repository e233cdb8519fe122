terraform {
  # From 1.9 on a validation may look at other variables.
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # From 6.0 on `aws_region` tells its name as `region`.
      version = ">= 6.0, < 7.0"
    }
  }
}
