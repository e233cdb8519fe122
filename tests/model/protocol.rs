//! The protocol as it stands in `src`, and versions of it that are wrong in one place each.

use crate::s3::Names;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protocol {
    /// What `pgseal/1` does.
    Ours,
    /// What `format: legacy` does: names without the run, no inventory, the key once the dump stands.
    Legacy,

    /// The manifest before the dump is completed.
    ManifestFirst,
    /// The manifest without `If-None-Match: *`.
    Overwrites,
    /// Completes with the parts that have landed.
    AwaitsNoParts,
    /// `commit_unknown` taken for success.
    TrustsUnknownDump,
    /// `NoSuchUpload` on Complete taken for "done by an earlier try".
    TrustsNoUpload,
    /// `NoSuchUpload` on Complete taken for "aborted by someone".
    LooksForNoDump,
    /// No answer to the manifest taken for success.
    TrustsManifest,
    /// Whatever stands under the manifest's name taken for this order's backup.
    TrustsNames,
    /// 412 on the manifest taken for a failure, though it may be our own first try.
    LooksForNoManifest,
    /// No abort on failure.
    NeverAborts,
    /// No look for uploads whose Create was not answered.
    LooksForNoUploads,
    /// `Legacy`, but a dump that stands already is known by its size, not by its checksum.
    LegacyBySize,
    /// No run in the objects' names, and an object that exists is taken for our own.
    SharesNames,
}

impl Protocol {
    pub fn names(self) -> Names {
        match self {
            Self::Legacy | Self::LegacyBySize | Self::SharesNames => Names::Shared,
            _ => Names::OfTheRun,
        }
    }

    pub fn compares_key(self) -> bool {
        matches!(self, Self::Legacy | Self::LegacyBySize)
    }

    pub fn has_key_last(self) -> bool {
        matches!(self, Self::Legacy | Self::LegacyBySize)
    }

    pub fn compares_dump(self) -> bool {
        self == Self::Legacy
    }

    /// Where all uploads of a key are of one run.
    pub fn looks_for_uploads(self) -> bool {
        self.names() == Names::OfTheRun && self != Self::LooksForNoUploads
    }
}
