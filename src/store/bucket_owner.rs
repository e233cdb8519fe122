//! Whose the bucket must be, said in every call: a call that did not say so would write into a bucket of that name that
//! somebody else has made.

use crate::plan::AccountId;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// The header of [S3's own check](https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html).
#[derive(Debug)]
pub(super) struct BucketOwner(pub(super) Option<AccountId>);

impl Intercept for BucketOwner {
    fn name(&self) -> &'static str {
        "bucket-owner"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(owner) = &self.0 {
            let headers = context.request_mut().headers_mut();
            headers.insert("x-amz-expected-bucket-owner", owner.as_str().to_owned());
        }
        Ok(())
    }
}
