//! Lambda's side of the runtime API, in this process: for what the real emulator cannot do, a deadline of its own for each
//! event, to the millisecond, and a thousand events to one process.
//!
//! ```ignore
//! let platform = Platform::start(bucket.env(), server.env());
//! let answer = platform.invoke(&event, Duration::from_secs(60));
//! assert_eq!(answer.unwrap()["status"], "complete");
//! ```

use super::pgseal::bare;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};
use tempfile::NamedTempFile;

/// One warm process behind a platform that has one event at a time. Killed on Drop.
pub struct Platform {
    listener: TcpListener,
    child: Child,
    log: NamedTempFile,
}

/// What an event came to: the receipt, or `errorType` and the receipt in its message.
pub type Outcome = std::result::Result<Value, (String, Value)>;

impl Platform {
    /// With nothing in its environment but this and what Lambda sets.
    pub fn start<K: AsRef<str>, V: AsRef<str>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        let mut command = bare();
        command
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        for (name, value) in variables {
            command.env(name.as_ref(), value.as_ref());
        }
        let log = NamedTempFile::new().expect("a file for the log");
        let stderr = log.reopen().expect("a second handle of it");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        Self {
            listener,
            child: command.spawn().expect("pgseal starts"),
            log,
        }
    }

    /// Process id of the program.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Hands it one event, to be answered within `left`, and waits for the answer. A process that ends instead fails
    /// the test by the watch that all tests have: the runner's.
    pub fn invoke(&self, event: &Value, left: Duration) -> Outcome {
        self.invoke_bytes(event.to_string().as_bytes(), left)
    }

    /// The same with whatever bytes.
    pub fn invoke_bytes(&self, event: &[u8], left: Duration) -> Outcome {
        self.invoke_with("", event, left)
    }

    /// The same with more headers, each with its line's end.
    pub fn invoke_with(&self, headers: &str, event: &[u8], left: Duration) -> Outcome {
        let deadline = SystemTime::now() + left;
        let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
        self.invoke_by(&format!("Lambda-Runtime-Deadline-Ms: {deadline}\r\n{headers}"), event)
    }

    /// With these headers alone beside its id, each with its line's end.
    pub fn invoke_by(&self, headers: &str, event: &[u8]) -> Outcome {
        let head = format!("Lambda-Runtime-Aws-Request-Id: 1\r\n{headers}");
        self.serve("/next", &head, event).expect("it asks for an event");
        let (path, body) = self.serve("", "", b"").expect("it answers the event");
        let answer: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        if path.ends_with("/response") {
            return Ok(answer);
        }
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned();
        let receipt = serde_json::from_str(&text("errorMessage")).expect("the message is a receipt");
        Err((text("errorType"), receipt))
    }

    /// Hands it an event that nobody could answer, by which it ends: its exit status.
    pub fn give_event_without_id(&mut self) -> Option<i32> {
        self.serve("/next", "Lambda-Runtime-Deadline-Ms: 1\r\n", b"{}")
            .expect("it asks for an event");
        self.child.wait().expect("its end").code()
    }

    /// Answers its question for an event so: its exit status.
    pub fn refuse_event(&mut self, answer: &str) -> Option<i32> {
        let (mut socket, _) = self.listener.accept().expect("it asks for an event");
        read_request(&socket).expect("its question");
        socket.write_all(answer.as_bytes()).expect("answered");
        drop(socket);
        self.child.wait().expect("its end").code()
    }

    /// Hands it an event, and closes the connection that brings the answer: its exit status.
    pub fn drop_answer(&mut self, event: &[u8]) -> Option<i32> {
        let head = "Lambda-Runtime-Aws-Request-Id: 2\r\n";
        self.serve("/next", head, event).expect("it asks for an event");
        let (socket, _) = self.listener.accept().expect("it answers the event");
        read_request(&socket).expect("its answer");
        drop(socket);
        self.child.wait().expect("its end").code()
    }

    /// Gives an event, and this status to its answer; then the platform is gone. Gives the exit status.
    pub fn answer_to_answer(&mut self, event: &[u8], status: &str) -> Option<i32> {
        let head = "Lambda-Runtime-Aws-Request-Id: 2\r\n";
        self.serve("/next", head, event).expect("it asks for an event");
        let (mut socket, _) = self.listener.accept().expect("it answers the event");
        read_request(&socket).expect("its answer");
        write!(socket, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").expect("it is told");
        drop(socket);
        self.child.wait().expect("its end").code()
    }

    /// What it wrote to stderr so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).expect("its log")
    }

    /// Answers one request, whose path must end so, and gives its path and body.
    fn serve(&self, expected: &str, head: &str, body: &[u8]) -> Result<(String, String)> {
        let (mut socket, _) = self.listener.accept()?;
        let (path, asked) = read_request(&socket)?;
        assert!(path.ends_with(expected), "{path} was called where {expected} was due");
        let length = body.len();
        write!(
            socket,
            "HTTP/1.1 200 OK\r\n{head}Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )?;
        socket.write_all(body)?;
        Ok((path, asked))
    }
}

fn read_request(socket: &TcpStream) -> Result<(String, String)> {
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split_ascii_whitespace().nth(1).unwrap_or_default().to_owned();
    let (mut length, mut header) = (0, String::new());
    while header != "\r\n" {
        header.clear();
        reader.read_line(&mut header)?;
        let (name, value) = header.split_once(':').unwrap_or_default();
        assert!(!name.eq_ignore_ascii_case("transfer-encoding"), "a body without a length");
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((path, String::from_utf8(body).expect("UTF-8")))
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
