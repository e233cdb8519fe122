//! What a server's ETags say of the bytes: MD5 on most servers, where no KMS key encrypts them. Which it is shows in its answers
//! alone, perhaps only after something was taken whose ETag said nothing yet.

use crate::format::hex;
use md5::{Digest, Md5};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// What this server's ETags of one kind of write are, as far as its answers have shown: where one was the MD5 of what was sent,
/// all are, since all writes of a kind are made alike. Those of parts may be others than those of objects.
#[derive(Debug, Default)]
pub(super) struct EtagKind {
    is_md5: AtomicBool,
    /// Whether any answer repeated our checksum.
    has_echoed: AtomicBool,
    /// Names of what was taken though its ETag, which could be an MD5, is not that of our bytes.
    unproven: Mutex<Vec<String>>,
}

/// What an ETag says of the bytes that should stand behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EtagVerdict {
    Ours,
    Others,
    /// Nothing, by what is known so far.
    Nothing,
}

impl EtagKind {
    /// That an ETag is the MD5 of these bytes is remembered.
    pub(super) fn judge(&self, etag: &str, body: &[u8]) -> EtagVerdict {
        if bare(etag).eq_ignore_ascii_case(&hex(&Md5::digest(body))) {
            self.is_md5.store(true, Ordering::Relaxed);
            return EtagVerdict::Ours;
        }
        match looks_like_md5(etag) && self.is_md5.load(Ordering::Relaxed) {
            true => EtagVerdict::Others,
            false => EtagVerdict::Nothing,
        }
    }

    /// What is taken though its ETag said nothing: if these turn out to be MD5, it is other bytes.
    pub(super) fn remember(&self, name: String, etag: &str) {
        if looks_like_md5(etag) {
            self.unproven.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(name);
        }
    }

    pub(super) fn record_echo(&self) {
        self.has_echoed.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_echoed(&self) -> bool {
        self.has_echoed.load(Ordering::Relaxed)
    }

    /// The first of what was taken so that is other bytes, by what is known now.
    pub(super) fn disproven(&self, is_asked_for: impl Fn(&str) -> bool) -> Option<String> {
        if !self.is_md5.load(Ordering::Relaxed) {
            return None;
        }
        let unproven = self.unproven.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        unproven.iter().find(|name| is_asked_for(name)).cloned()
    }
}

fn bare(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}

fn looks_like_md5(etag: &str) -> bool {
    let bare = bare(etag);
    bare.len() == 32 && bare.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn md5(bytes: &[u8]) -> String {
        hex(&Md5::digest(bytes))
    }

    /// Of a server that checks nothing, other bytes under our name passed for ours, since their size was the same.
    #[test]
    fn an_etag_shows_other_bytes_once_it_is_known_to_be_md5() {
        let kind = EtagKind::default();
        // With KMS it looks the same, and is something else.
        assert_eq!(kind.judge(&md5(b"other"), b"body"), EtagVerdict::Nothing);
        assert_eq!(kind.judge(&format!("\"{}\"", md5(b"first")), b"first"), EtagVerdict::Ours);
        assert_eq!(kind.judge(&md5(b"other"), b"body"), EtagVerdict::Others);
        assert_eq!(kind.judge(&md5(b"body"), b"body"), EtagVerdict::Ours);
        assert_eq!(kind.judge("\"opaque-tag\"", b"body"), EtagVerdict::Nothing);
    }

    /// At the first write nothing is known.
    #[test]
    fn what_was_taken_before_anything_was_known_is_disproven_later() {
        let kind = EtagKind::default();
        kind.remember("opaque".to_owned(), "\"opaque-tag\"");
        kind.remember("first".to_owned(), &format!("\"{}\"", md5(b"other")));
        assert_eq!(kind.disproven(|_| true), None);
        assert_eq!(kind.judge(&md5(b"second"), b"second"), EtagVerdict::Ours);
        assert_eq!(kind.disproven(|_| true).as_deref(), Some("first"));
        assert_eq!(kind.disproven(|name| name == "of another backup"), None);
    }
}
