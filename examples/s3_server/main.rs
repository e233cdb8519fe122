//! A small real S3 server over a folder: SigV4 checked, one process, nothing to install. `make demo` uses it.
//!
//! ```text
//! AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… cargo run --example s3_server -- FOLDER [ADDRESS:PORT]
//! ```
//!
//! It prints `http://ADDRESS:PORT` on a line of its own when it is ready. Every folder in FOLDER is a bucket, every
//! file an object. As in a bucket with deploy/bucket-policy.json, nothing is written without `If-None-Match`, but by the access key
//! in S3_SERVER_OWNER. Meant for trials on one machine: no TLS, and state of open uploads lives in memory.

#![expect(clippy::print_stdout, reason = "its output is for a person")]

mod parts;
mod policy;
mod server;
mod strict;

use std::error::Error;
use std::io::Write;
use std::net::TcpListener;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: s3_server FOLDER [ADDRESS:PORT]")?;
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let (access_key, secret_key) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);

    let owner = std::env::var("S3_SERVER_OWNER").ok();
    let store = strict::Strict::new(&folder, owner.as_deref())?;
    let listener = TcpListener::bind(&address)?;
    println!("http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;

    // Each touch of a file goes to a thread that may wait, and by default to another one each time.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(server::serve(listener, store, &[(&access_key, &secret_key)]))?;
    Ok(())
}
