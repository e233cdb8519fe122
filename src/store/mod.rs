//! Where sealed bytes go, whole or not at all; and where they come back from, pinned while they are read.

mod archive;
mod directory;
mod existing;
mod fault;
mod location;
mod memory;
mod s3;
mod s3_reader;
mod upload;

pub use archive::{Archive, Listed, Pinned, missing};
pub use existing::{Fetched, Identity, ListedObject};
pub use fault::of_another_run;
pub use location::Location;
pub use memory::Memory;
pub use s3::{Held, Put, S3, Written, read_text};
pub use upload::{Stored, Upload};
