//! Where sealed bytes go, whole or not at all; and where they come back from, pinned while they are read.

mod archive;
mod bucket_owner;
mod bucket_settings;
mod directory;
mod etag_kind;
mod existing;
mod location;
mod look;
mod memory;
mod new_file;
mod pages;
mod put_answer;
mod s3;
mod s3_error;
mod s3_reader;
mod same_bytes;
mod senseless_reads;
mod transfer;
mod upload;
mod whole;

pub use archive::{Archive, ObjectEntry, PinnedObject, missing};
pub(crate) use bucket_settings::{BucketSetting, ExpectedRules, MAY_NOT};
pub(crate) use existing::{FetchOutcome, ListedObject, ObjectIdentity};
pub use location::{Location, split_url};
pub use look::{BucketProbe, ConditionalSupport, KeyProbe};
pub use memory::InMemoryStore;
pub(crate) use new_file::NewFile;
pub use s3::{ObjectMatch, PutOutcome, PutRequest, S3, read_text};
pub(crate) use s3_error::{OF_ANOTHER_RUN, exists_and_is_missing, of_another_run};
pub use transfer::TransferTimeouts;
pub use upload::{StoredObject, Upload};
