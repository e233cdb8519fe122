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

mod rules;

use rules::ended;
pub use rules::{Canned, Fault, Operation, Rule};

use super::s3::{Bucket, ClientEnv};
use super::wait::until;
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A request that came, broken or not.
#[derive(Clone, Debug)]
pub struct Seen {
    pub operation: Operation,
    pub key: String,
    head: String,
}

impl Seen {
    /// What stands behind the `?`.
    pub fn query(&self) -> &str {
        let target = self.head.split_whitespace().nth(1).unwrap_or_default();
        target.split_once('?').map_or("", |(_, query)| query)
    }

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
            Some(Fault::Drip(head)) => {
                body()?;
                socket.write_all(head.as_bytes())?;
                loop {
                    std::thread::sleep(Duration::from_millis(100));
                    socket.write_all(b" ")?;
                }
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
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Of its body.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Whether it has a header whose name begins so.
    pub fn is(&self, operation: Operation, within_key: &str) -> bool {
        self.operation == operation && self.key.contains(within_key)
    }

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
