//! Standard input to S3 as it is, by the last stage of the pipeline: for measurements.
//!
//! ```text
//! cargo run --release --example upload -- BUCKET KEY < FILE
//! ```

#![expect(clippy::print_stdout, reason = "its output is for a person")]

use pgseal::cancel::Cancel;
use pgseal::error::Result;
use pgseal::format::parts::PartSizeSchedule;
use pgseal::format::parts::{Part, UploadedObject};
use pgseal::pipeline::{Multipart, Stage};
use pgseal::plan::{BucketName, Destination, IN_FLIGHT};
use pgseal::store::{S3, Upload};
use pgseal::variables::Env;
use std::error::Error;
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::mpsc::{Sender, channel};

const READ: usize = 128 << 10;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    pgseal::allocator::limit_malloc_arenas();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bucket, key] = &arguments[..] else {
        return Err("usage: upload BUCKET KEY".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{} bytes", runtime.block_on(upload(bucket, key))?);
    Ok(())
}

async fn upload(bucket: &str, key: &str) -> Result<u64> {
    let env = Env::from_process(&[]);
    let destination = Destination::reading(BucketName::of_location(bucket), &env)?;
    let cancel = Cancel::new()?;
    let mut upload = Upload::new(Arc::new(S3::open(&destination, &env).await?), key.to_owned(), true);
    let (sender, mut parts) = channel(1);
    let reader = {
        let cancel = cancel.clone();
        tokio::task::spawn_blocking(move || cut(sender, cancel))
    };
    let limit = IN_FLIGHT as usize;
    upload.receive(&mut parts, limit, &cancel).await?;
    let (sealed, last) = reader.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    upload.commit(&sealed, last, &cancel).await?;
    Ok(sealed.size)
}

fn cut(sender: Sender<Part>, cancel: Cancel) -> Result<(UploadedObject, Part)> {
    let mut multipart = Multipart::new(PartSizeSchedule::default(), IN_FLIGHT as usize, sender, cancel);
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; READ];
    loop {
        match input.read(&mut buffer).unwrap_or_else(|error| panic!("standard input: {error}")) {
            0 => return multipart.finish(),
            length => multipart.put(&buffer[..length])?,
        }
    }
}
