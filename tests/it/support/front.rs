//! What can stand before a PostgreSQL server: a proxy that reads the protocol's messages and does one thing to them.
//!
//! ```ignore
//! let front = Front::before(&server, Manner::RefusesOptions);       // as RDS Proxy does
//! let front = Front::before(&server, Manner::Translates);           // errors in no language that anybody speaks
//! let front = Front::before(&server, Manner::Silent(Silence::from(3)));
//! event["port"] = json!(front.port());
//! front.wait_for_silence();
//! ```
//!
//! No TLS: it must read what passes.

use super::postgres::Server;
use super::wait::PATIENCE;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// A startup parameter `options` ends the login, as behind RDS Proxy.
    RefusesOptions,
    /// The words of every error are replaced; SQLSTATE and the severity for programs stay.
    Translates,
    /// From one message of a client on, nobody hears anything any more; the connections stay open.
    Silent(Silence),
    /// The connection that sends the message of this number, counted as in [`Silence`], is closed; later ones pass.
    Drops(usize),
    /// Each query is answered as if somebody had called `pg_terminate_backend`.
    EndsSessions,
    /// Everything passes.
    Counts,
}

/// Where a black hole begins: at the message of this number that clients send, counted from 1 over all connections.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    pub at: usize,
    /// The message is still forwarded, and the first bytes of its answer arrive.
    pub within_answer: bool,
}

struct State {
    manner: Manner,
    upstream: u16,
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    messages: usize,
    /// The next answer is cut.
    cutting: bool,
    silent: bool,
    gone: bool,
    sockets: Vec<TcpStream>,
}

pub struct Front {
    port: u16,
    state: Arc<State>,
}

impl Front {
    pub fn before(server: &Server, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::new(State {
            manner,
            upstream: server.port(),
            seen: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.seen.lock().expect("the state").gone {
                    return;
                }
                let state = accepting.clone();
                std::thread::spawn(move || state.serve(client));
            }
        });
        Self { port, state }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Messages that clients have sent so far.
    pub fn messages(&self) -> usize {
        self.state.seen.lock().expect("the state").messages
    }

    /// Waits until the black hole is there.
    pub fn wait_for_silence(&self) {
        let seen = self.state.seen.lock().expect("the state");
        let waiting = self.state.changed.wait_timeout_while(seen, PATIENCE, |seen| !seen.silent);
        assert!(waiting.expect("the state").0.silent, "no client came as far as the silence");
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let mut seen = self.state.seen.lock().expect("the state");
        seen.gone = true;
        for socket in &seen.sockets {
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.state.changed.notify_all();
        drop(seen);
        // The listener wakes, sees it and ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn serve(self: Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.upstream)) else {
            return;
        };
        let pair = || Ok::<_, Error>((client.try_clone()?, server.try_clone()?));
        let (Ok((client_out, server_out)), Ok((client_kept, server_kept))) = (pair(), pair()) else {
            return;
        };
        self.seen.lock().expect("the state").sockets.extend([client_kept, server_kept]);
        let answers = {
            let (state, server) = (self.clone(), server.try_clone());
            std::thread::spawn(move || {
                let _ = server.and_then(|server| state.answers(server, &client_out));
                let _ = client_out.shutdown(Shutdown::Both);
            })
        };
        let _ = self.requests(client, &server_out);
        let _ = server.shutdown(Shutdown::Write);
        let _ = answers.join();
    }

    fn requests(&self, mut client: TcpStream, mut server: &TcpStream) -> Result<()> {
        let mut started = false;
        loop {
            // The first message of a connection has no type.
            let message = message(&mut client, usize::from(started))?;
            let refused = !started && message.windows(9).any(|bytes| bytes == b"\0options\0");
            if refused && matches!(self.manner, Manner::RefusesOptions) {
                let words = "Feature not supported: RDS Proxy currently doesn't support command-line options.";
                return client.write_all(&fatal("0A000", words));
            }
            if matches!(self.manner, Manner::EndsSessions) && started && message[0] == b'Q' {
                return client.write_all(&fatal("57P01", "terminating connection due to administrator command"));
            }
            let farewell = started && message[0] == b'X';
            started = true;
            let mut seen = self.seen.lock().expect("the state");
            // Nobody waits for an answer to a farewell.
            seen.messages += usize::from(!farewell);
            if let Manner::Silent(Silence { at, within_answer }) = self.manner
                && seen.messages == at
                && !farewell
            {
                seen.cutting = within_answer;
                seen.silent = !within_answer;
                self.changed.notify_all();
            }
            let is_dropped = matches!(self.manner, Manner::Drops(at) if seen.messages == at && !farewell);
            drop(seen);
            if is_dropped {
                client.shutdown(Shutdown::Both)?;
                return Ok(());
            }
            self.pass_or_hold()?;
            server.write_all(&message)?;
        }
    }

    fn answers(&self, mut server: TcpStream, mut client: &TcpStream) -> Result<()> {
        loop {
            let mut message = message(&mut server, 1)?;
            if matches!(self.manner, Manner::Translates) && message[0] == b'E' {
                message = translated(&message);
            }
            let mut seen = self.seen.lock().expect("the state");
            if seen.cutting && !seen.silent {
                seen.silent = true;
                self.changed.notify_all();
                client.write_all(&message[..3])?;
            }
            drop(seen);
            self.pass_or_hold()?;
            client.write_all(&message)?;
        }
    }

    /// Returns at once while the line works; afterwards only when all is over.
    fn pass_or_hold(&self) -> Result<()> {
        let seen = self.seen.lock().expect("the state");
        if !seen.silent {
            return Ok(());
        }
        let waiting = self.changed.wait_while(seen, |seen| !seen.gone);
        drop(waiting);
        Err(ErrorKind::ConnectionAborted.into())
    }
}

/// One message, with so many bytes before its length.
fn message(stream: &mut TcpStream, kind: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; kind + 4];
    stream.read_exact(&mut bytes)?;
    let length = bytes[kind..].iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
    bytes.resize(kind + length.max(4), 0);
    stream.read_exact(&mut bytes[kind + 4..])?;
    Ok(bytes)
}

/// The error after which a server closes the connection.
fn fatal(sqlstate: &str, words: &str) -> Vec<u8> {
    let fields = format!("SFATAL\0VFATAL\0C{sqlstate}\0M{words}\0\0");
    let length = (fields.len() as u32 + 4).to_be_bytes();
    [b"E", &length[..], fields.as_bytes()].concat()
}

/// An error whose fields for people are in a language of their own.
fn translated(message: &[u8]) -> Vec<u8> {
    let mut fields = Vec::new();
    for field in message[5..].split(|byte| *byte == 0).filter(|field| !field.is_empty()) {
        match field[0] {
            b'V' | b'C' => fields.extend_from_slice(field),
            b'S' => fields.extend_from_slice(b"SHIBA"),
            b'M' => fields.extend_from_slice("Mkuna jambo haliko sawa".as_bytes()),
            _ => continue,
        }
        fields.push(0);
    }
    fields.push(0);
    let length = (fields.len() as u32 + 4).to_be_bytes();
    [b"E", &length[..], &fields].concat()
}
