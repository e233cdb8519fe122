//! A link of limited bandwidth in front of an S3 server, or one that stands still.

use super::s3::Bucket;
use std::io::{Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

pub struct SlowLink {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

/// How a link behaves on the way up.
#[derive(Clone, Copy)]
pub struct Manner {
    pub bytes_per_second: usize,
    /// The first so many connections take this many bytes, and then no more.
    pub stands_still: Option<(usize, usize)>,
}

impl SlowLink {
    pub fn before(bucket: &Bucket, manner: Manner) -> Self {
        let env = bucket.env();
        let upstream = env.get("AWS_ENDPOINT_URL_S3").and_then(|url| url.strip_prefix("http://"));
        let upstream = upstream.expect("plain HTTP").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let held = Arc::new(Mutex::new(Vec::new()));
        spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let number = count.fetch_add(1, Ordering::Relaxed);
                let limit = manner.stands_still.filter(|(first, _)| number < *first).map(|(_, bytes)| bytes);
                let upstream = upstream.clone();
                // What breaks here breaks the client's request: the test sees it there.
                let held = held.clone();
                spawn(move || serve(socket, &upstream, manner.bytes_per_second, limit, &held));
            }
        });
        Self { address, connections }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn serve(mut client: TcpStream, upstream: &str, rate: usize, limit: Option<usize>, held: &Mutex<Vec<TcpStream>>) -> Result<()> {
    const TICK: Duration = Duration::from_millis(20);
    let mut server = TcpStream::connect(upstream)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut piece = vec![0; (rate / 50).max(1)];
    let mut taken = 0;
    loop {
        if limit.is_some_and(|limit| taken >= limit) {
            // Open as long as the link is, and the client hears nothing.
            held.lock().expect("no holder panics").extend([client, server]);
            return Ok(());
        }
        let bytes = client.read(&mut piece)?;
        if bytes == 0 {
            return server.shutdown(Shutdown::Write);
        }
        server.write_all(&piece[..bytes])?;
        taken += bytes;
        sleep(TICK.mul_f64(bytes as f64 / piece.len() as f64));
    }
}
