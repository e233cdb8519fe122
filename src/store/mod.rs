//! Where sealed bytes go, whole or not at all; and where they come back from, pinned while they are read.

mod archive;
mod directory;
mod existing;
mod fault;
mod location;
mod look;
mod memory;
mod new_file;
mod s3;
mod s3_reader;
mod transfer;
mod upload;
mod whole;

pub use archive::{Archive, Listed, Pinned, missing};
pub use existing::{Fetched, Identity, ListedObject};
pub use fault::of_another_run;
pub use location::{Location, split_url};
pub use look::{Look, Support};
pub use memory::Memory;
pub use new_file::NewFile;
pub use s3::{Held, Put, S3, Written, read_text};
pub use s3_reader::reading_region;
pub use transfer::Patience;
pub use upload::{Stored, Upload};
