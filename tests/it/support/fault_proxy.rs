//! A proxy in front of an S3 server that breaks chosen requests in chosen ways, the same in every run.
//!
//! ```ignore
//! let s3 = EmbeddedS3::start();
//! let bucket = s3.bucket();                                     // the tests' own view: past the proxy
//! let proxy = FaultProxy::before(&bucket, [
//!     Rule::on(Operation::UploadPart).after(1).times(2).then(Fault::Answer(Canned::slow_down())),
//!     Rule::on(Operation::PutObject).key(".manifest.jsonl").then(Fault::LoseAnswer),
//! ]);
//! Pgseal::backup(&event).envs(proxy.env()).run();
//! assert_eq!(proxy.count(Operation::UploadPart), 5);
//! ```
//!
//! One request a connection, bodies whole in memory, plain HTTP/1.1: enough for an SDK, and simple to trust.

use super::s3::{Bucket, ClientEnv};
use super::wait::until;
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
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
    fn of(method: &str, key: &str, query: &str) -> Self {
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
fn ended(answer: &[u8], after: impl Fn(&[u8]) -> usize) -> Vec<u8> {
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

    fn bytes(&self, method: &str) -> Vec<u8> {
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

    fn pick(&mut self, request: &Request) -> Option<Fault> {
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

/// A request that came, broken or not.
#[derive(Clone, Debug)]
pub struct Seen {
    pub operation: Operation,
    pub key: String,
    head: String,
}

impl Seen {
    /// The value of one of its headers.
    pub fn header(&self, name: &str) -> Option<&str> {
        headers(&self.head)
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

fn headers(head: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name, value.trim()))
}

pub struct FaultProxy {
    address: SocketAddr,
    env: ClientEnv,
    shared: Arc<Shared>,
}

/// What becomes of a request, if anything does.
type Picker = dyn FnMut(&Request) -> Option<Fault> + Send;

struct Shared {
    upstream: String,
    pick: Mutex<Box<Picker>>,
    broken: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
    /// Whether a request waits in silence.
    silent: AtomicBool,
    over: Mutex<bool>,
    ended: Condvar,
}

impl FaultProxy {
    /// In front of the server of this bucket.
    pub fn before(bucket: &Bucket, rules: impl IntoIterator<Item = Rule>) -> Self {
        let mut rules: Vec<Rule> = rules.into_iter().collect();
        Self::with(bucket, move |request| rules.iter_mut().find_map(|rule| rule.pick(request)))
    }

    /// The same, where this tells what becomes of each request.
    pub fn with(bucket: &Bucket, pick: impl FnMut(&Request) -> Option<Fault> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let mut env = bucket.env();
        let upstream = env
            .get("AWS_ENDPOINT_URL_S3")
            .and_then(|url| url.strip_prefix("http://"))
            .expect("plain HTTP")
            .to_owned();
        env.push("AWS_ENDPOINT_URL_S3", &format!("http://{address}"));
        let shared = Arc::new(Shared {
            upstream,
            pick: Mutex::new(Box::new(pick)),
            broken: AtomicUsize::new(0),
            seen: Mutex::default(),
            silent: AtomicBool::new(false),
            over: Mutex::new(false),
            ended: Condvar::new(),
        });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if *served.over.lock().expect("no holder panics") {
                    return;
                }
                let shared = Arc::clone(&served);
                // What breaks here breaks the client's request: the test sees it there.
                std::thread::spawn(move || shared.serve(socket));
            }
        });
        Self { address, env, shared }
    }

    /// What pgseal needs in its environment to go through this.
    pub fn env(&self) -> ClientEnv {
        self.env.clone()
    }

    /// How many requests of this operation came, broken or not.
    pub fn count(&self, operation: Operation) -> usize {
        self.seen().iter().filter(|seen| seen.operation == operation).count()
    }

    /// Every request, in the order of their arrival.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("no holder panics").clone()
    }

    /// How many requests were broken.
    pub fn broken(&self) -> usize {
        self.shared.broken.load(Ordering::Relaxed)
    }

    /// Whether a request waits in silence: the moment that the rule meant.
    pub fn is_silent(&self) -> bool {
        self.shared.silent.load(Ordering::Acquire)
    }

    /// Waits until a request of this operation has come.
    pub fn wait_for(&self, operation: Operation) {
        until(&format!("a {operation:?} comes"), || self.count(operation) > 0);
    }

    /// Waits until a request waits in silence.
    pub fn wait_for_silence(&self) {
        until("a request is left in silence", || self.is_silent());
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        *self.shared.over.lock().expect("no holder panics") = true;
        self.shared.ended.notify_all();
        let _ = TcpStream::connect(self.address); // wakes the listener, which then ends
    }
}

/// One request, its body still to be read.
pub struct Request {
    method: String,
    operation: Operation,
    key: String,
    /// As it goes on to the server: with the signed headers untouched.
    head: String,
    length: usize,
}

impl Shared {
    fn serve(&self, socket: TcpStream) -> Result<()> {
        let mut reader = BufReader::new(socket.try_clone()?);
        let mut socket = socket;
        let request = Request::read(&mut reader, &mut socket)?;
        let seen = Seen {
            operation: request.operation,
            key: request.key.clone(),
            head: request.head.clone(),
        };
        self.seen.lock().expect("no holder panics").push(seen);
        let fault = self.pick.lock().expect("no holder panics")(&request);
        self.broken.fetch_add(usize::from(fault.is_some()), Ordering::Relaxed);
        let mut body = || {
            let mut bytes = vec![0; request.length];
            reader.read_exact(&mut bytes).map(|()| bytes)
        };
        let answer = match fault {
            None => self.forward(&request, &body()?)?,
            Some(Fault::Answer(canned)) => {
                body()?;
                canned.bytes(&request.method)
            }
            Some(Fault::CutBefore) => return Ok(()),
            // Closing a socket that holds unread bytes sends a reset.
            Some(Fault::ResetInBody(bytes)) => return reader.read_exact(&mut vec![0; bytes.min(request.length)]),
            Some(Fault::LoseAnswer) => return self.forward(&request, &body()?).map(drop),
            Some(Fault::ReplaceAnswer(canned)) => {
                self.forward(&request, &body()?)?;
                canned.bytes(&request.method)
            }
            Some(Fault::CutAnswer { missing }) => {
                let mut answer = self.forward(&request, &body()?)?;
                answer.truncate(answer.len().saturating_sub(missing));
                answer
            }
            Some(Fault::EndAnswer { element, after }) => ended(&self.forward(&request, &body()?)?, |body| {
                let body = String::from_utf8_lossy(body);
                let begin = body.find(&format!("<{element}>")).expect("the element") + element.len() + 2;
                let end = body.find(&format!("</{element}>")).expect("its end");
                if begin + after < end { begin + after } else { body.len() }
            }),
            Some(Fault::ShortAnswer { missing }) => ended(&self.forward(&request, &body()?)?, |body| body.len() - missing),
            Some(Fault::Twice) => {
                let body = body()?;
                self.forward(&request, &body)?;
                self.forward(&request, &body)?
            }
            Some(Fault::Slow(time)) => {
                let body = body()?;
                std::thread::sleep(time);
                self.forward(&request, &body)?
            }
            Some(Fault::Silence) => return self.silence(),
            Some(Fault::SilenceAfter) => {
                self.forward(&request, &body()?)?;
                return self.silence();
            }
        };
        socket.write_all(&answer)
    }

    fn silence(&self) -> Result<()> {
        self.silent.store(true, Ordering::Release);
        let over = self.over.lock().expect("no holder panics");
        drop(self.ended.wait_while(over, |over| !*over).expect("no holder panics"));
        Ok(())
    }

    fn forward(&self, request: &Request, body: &[u8]) -> Result<Vec<u8>> {
        let mut server = TcpStream::connect(&self.upstream)?;
        server.write_all(request.head.as_bytes())?;
        server.write_all(body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

impl Request {
    /// Whether it has a header whose name begins so.
    pub fn has_header(&self, beginning: &str) -> bool {
        headers(&self.head).any(|(name, _)| name.to_ascii_lowercase().starts_with(beginning))
    }

    fn read(reader: &mut BufReader<TcpStream>, client: &mut TcpStream) -> Result<Self> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_ascii_whitespace();
        let (Some(method), Some(address)) = (words.next(), words.next()) else {
            return Err(Error::other("no request line"));
        };
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let key = path.trim_start_matches('/').split_once('/').map_or("", |(_bucket, key)| key);
        let (method, key) = (method.to_owned(), key.to_owned());
        let operation = Operation::of(&method, &key, query);

        let (mut head, mut length) = (line, 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let (name, value) = line.split_once(':').unwrap_or((line.trim_end(), ""));
            match name.to_ascii_lowercase().as_str() {
                "" => break,
                // Answered here at once, since every body is read here.
                "expect" => client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?,
                "connection" => {}
                "transfer-encoding" => return Err(Error::other("a body without a length is not for this proxy")),
                "content-length" => {
                    length = value.trim().parse().map_err(Error::other)?;
                    head.push_str(&line);
                }
                _ => head.push_str(&line),
            }
        }
        head.push_str("Connection: close\r\n\r\n");
        Ok(Self {
            method,
            operation,
            key,
            head,
            length,
        })
    }
}
