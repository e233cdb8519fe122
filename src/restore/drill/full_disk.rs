//! What stopped a drill may be the disk under it: then it says nothing of the backup.

use crate::error::Error;

/// The server says so, or is gone: whatever else it says is no fault of a disk, however little is free. That it says so proves
/// nothing by itself: code of the backup may raise the same.
pub(super) fn may_be_told_by(error: &Error) -> bool {
    !error.message.contains("SQLSTATE") || error.message.contains("SQLSTATE 53100")
}

pub(super) fn named_in(mut error: Error) -> Error {
    error.message = format!("{}; the disk of the drill's folder is full", error.message);
    error.advise("Free some space, or have TMPDIR name a larger disk: a drill needs as much as the database.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    /// A broken backup on a machine with little space was told as a full disk, and the drill as one that proved nothing.
    #[test]
    fn a_server_that_names_another_fault_has_no_full_disk() {
        for (said, may_be) in [
            ("the rows of public.orders: SQLSTATE 53100 (a full disk)", true),
            ("the connection to the server was lost", true),
            ("the rows of public.orders: SQLSTATE 22P02 (a value that its type refuses)", false),
            ("SQLSTATE 23505 (a key that is there twice)", false),
        ] {
            assert_eq!(may_be_told_by(&Error::new(Code::RestoreFailed, said)), may_be, "{said}");
        }
    }

    #[test]
    fn what_the_server_said_stays_beside_it() {
        let error = named_in(Error::new(Code::RestoreFailed, "SQLSTATE 53100"));
        assert!(error.message.starts_with("SQLSTATE 53100; the disk"), "{error}");
        assert!(error.hint().contains("TMPDIR"), "{}", error.hint());
    }
}
