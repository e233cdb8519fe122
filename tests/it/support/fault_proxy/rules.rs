//! Which request is broken, and how.

use super::Request;
use std::time::Duration;

/// S3's calls, as far as a backup makes them; told from method, path and query (path-style addresses).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    HeadBucket,
    ListObjects,
    ListUploads,
    HeadObject,
    GetObject,
    PutObject,
    CreateUpload,
    UploadPart,
    CompleteUpload,
    AbortUpload,
    Other,
}

impl Operation {
    pub(super) fn of(method: &str, key: &str, query: &str) -> Self {
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        match method {
            "HEAD" if key.is_empty() => Self::HeadBucket,
            "HEAD" => Self::HeadObject,
            "GET" if key.is_empty() && has("list-type") => Self::ListObjects,
            "GET" if key.is_empty() && has("uploads") => Self::ListUploads,
            "GET" if !key.is_empty() => Self::GetObject,
            "PUT" if has("partNumber") => Self::UploadPart,
            "PUT" if !key.is_empty() => Self::PutObject,
            "POST" if has("uploads") => Self::CreateUpload,
            "POST" if has("uploadId") => Self::CompleteUpload,
            "DELETE" if has("uploadId") => Self::AbortUpload,
            _ => Self::Other,
        }
    }
}

/// The same answer with fewer bytes of its body, and nothing that tells.
pub(super) fn ended(answer: &[u8], after: impl Fn(&[u8]) -> usize) -> Vec<u8> {
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..at]);
    let is_length = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !matches!(&*name, "content-length" | "transfer-encoding" | "connection")
    };
    let lines: Vec<&str> = head.split("\r\n").filter(is_length).collect();
    assert!(!head.to_ascii_lowercase().contains("chunked"), "bodies in chunks are not cut here");
    let body = &answer[at + 4..];
    let body = &body[..after(body)];
    let head = format!(
        "{}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        lines.join("\r\n"),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// What is done to a request that a rule picks.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answered here; the server never sees it.
    Answer(Canned),
    /// The connection is cut before a byte is forwarded.
    CutBefore,
    /// The connection is reset after this many bytes of the body; the server sees nothing.
    ResetInBody(usize),
    /// The server carries it out, and the connection is cut without an answer.
    LoseAnswer,
    /// The server carries it out, and this is answered.
    ReplaceAnswer(Canned),
    /// The server carries it out, and of its answer all but the last bytes of the body arrive.
    CutAnswer { missing: usize },
    /// The server carries it out, and its answer says that the body ends after so many bytes of this element; a whole one
    /// where it has no more.
    EndAnswer { element: &'static str, after: usize },
    /// And that it ends so many bytes before its end.
    ShortAnswer { missing: usize },
    /// Forwarded twice; the second answer arrives.
    Twice,
    /// Carried out after a while.
    Slow(Duration),
    /// After this head a byte comes ten times a second until the client has gone: slow, and never still.
    Drip(&'static str),
    /// Never carried out nor answered: silence until the proxy is dropped.
    Silence,
    /// The server carries it out; then silence.
    SilenceAfter,
}

/// An answer made up here.
#[derive(Clone, Debug)]
pub struct Canned {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Canned {
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// S3's error document.
    pub fn error(status: u16, code: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>made by the test</Message>\
             <RequestId>TEST</RequestId></Error>"
        );
        Self::new(status, body).header("Content-Type", "application/xml")
    }

    pub fn slow_down() -> Self {
        Self::error(503, "SlowDown")
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn bytes(&self, method: &str) -> Vec<u8> {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let (status, length) = (self.status, self.body.len());
        // The answer to HEAD tells a length and has no body.
        let body = if method == "HEAD" { "" } else { &self.body };
        format!("HTTP/1.1 {status} Test\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}").into()
    }
}

/// Which requests, and what becomes of them. The first rule that picks a request has it.
#[derive(Clone, Debug)]
pub struct Rule {
    /// None: any.
    operation: Option<Operation>,
    key: &'static str,
    skip: usize,
    times: usize,
    fault: Fault,
}

impl Rule {
    /// Every request of this operation, until narrowed.
    pub fn on(operation: Operation) -> Self {
        Self {
            operation: Some(operation),
            ..Self::any()
        }
    }

    /// Every request at all.
    pub fn any() -> Self {
        Self {
            operation: None,
            key: "",
            skip: 0,
            times: usize::MAX,
            fault: Fault::CutBefore,
        }
    }

    /// Only where the key, as it stands in the address, holds this text.
    pub fn key(mut self, part: &'static str) -> Self {
        self.key = part;
        self
    }

    /// Lets the first `count` pass.
    pub fn after(mut self, count: usize) -> Self {
        self.skip = count;
        self
    }

    /// Picks `count` requests, and lets the later ones pass.
    pub fn times(mut self, count: usize) -> Self {
        self.times = count;
        self
    }

    pub fn then(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    pub(super) fn pick(&mut self, request: &Request) -> Option<Fault> {
        if self.operation.is_some_and(|operation| operation != request.operation) || !request.key.contains(self.key) || self.times == 0 {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.times -= 1;
        Some(self.fault.clone())
    }
}
