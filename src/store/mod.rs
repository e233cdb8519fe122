//! Where sealed bytes go: S3, whole or not at all.

mod fault;
mod s3;
mod upload;

pub use s3::{Put, S3, Written, read_text};
pub use upload::{Stored, Upload};
