variable "vpc_id" {
  description = "The databases' VPC"
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, with a way to S3, ECR, CloudWatch Logs and KMS"
  type        = list(string)
}

variable "permissions_boundary" {
  description = "ARN of the permissions boundary, where the account demands one"
  type        = string
  default     = null
}

variable "signing_key_arn" {
  description = "A KMS key (ECC_NIST_P256, SIGN_VERIFY) that signs each backup"
  type        = string
  default     = null
}
