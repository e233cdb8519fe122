//! Where a delivery stands, with the function of `src` that each step mirrors, and what it says in the end.

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// `ThisOrder::find`, before the dump.
    Look,
    /// `Attempt::write_keys`, `Attempt::put`.
    PutKey,
    /// `S3::identify` in `Attempt::put`: the legacy format only.
    CompareKey,
    /// `Upload::open`, once the first part is whole.
    Create,
    /// `create::abort_others`, where an answer to Create may have been lost; then on, or the end.
    AbortOthers(Option<Word>),
    /// Parts go out while the dump comes in.
    Dump,
    /// `Attempt::write_inventory`.
    PutInventory,
    /// `Attempt::must_be_free` in `send_and_commit`.
    LookAgain,
    /// `Upload::commit`: the last part goes out, and all must have landed.
    AwaitParts,
    /// `Upload::complete_once`, with the retries of the SDK.
    Complete,
    /// `Upload::commit` of a dump that is smaller than a part.
    PutDump,
    /// `Upload::exists_already`.
    LookForDump(After),
    /// `Attempt::commit`.
    PutManifest,
    /// `S3::identify` in `Attempt::commit`, and `ThisOrder::find` where the bytes are another's.
    CompareManifest(After),
    /// `Attempt::write_instructions`.
    PutCard,
    /// `Upload::abort`.
    Abort(CommandOutput),
    Ended(CommandOutput),
    Crashed,
}

/// Why a look was needed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum After {
    /// 412 or `NoSuchUpload`.
    Exists,
    Silence,
    Senseless,
    Refused,
    /// A signal or the deadline came while the answer was awaited.
    Cancel,
}

/// The outcome as it is told, and what was true when it was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CommandOutput {
    pub word: Word,
    /// What it says does not exist stood there.
    pub is_wrong: bool,
    /// A failure, though no fault touched this delivery.
    pub is_unprovoked: bool,
    /// "... and the upload stays open".
    pub tells_open_upload: bool,
}

/// `complete`, `already_complete`, or the code of a failure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Word {
    Complete,
    AlreadyComplete,
    Unavailable,
    Denied,
    Integrity,
    UploadGone,
    CommitUnknown,
    CommitFailed,
    /// `commit_failed`, for a key of the legacy format that an earlier run left.
    KeyExists,
    Terminated,
    /// `terminated`: "if it arrives all the same, the backup is there".
    OnItsWay,
    /// `commit_unknown`, for a manifest.
    ManifestUnknown,
    /// `stem_taken`.
    StemTaken,
}

impl Word {
    pub fn is_success(self) -> bool {
        matches!(self, Self::Complete | Self::AlreadyComplete)
    }

    /// CommandOutput once the manifest was sent: it may stand, or come to.
    pub fn is_of_the_commit(self) -> bool {
        matches!(self, Self::CommitFailed | Self::OnItsWay | Self::ManifestUnknown)
    }
}
