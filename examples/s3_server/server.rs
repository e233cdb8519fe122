//! HTTP in front of the store, and the check of signatures.

use super::strict::Strict;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::{SecretKey, SimpleAuth};
use s3s::service::S3ServiceBuilder;
use std::io;
use std::net::TcpListener;
use tokio::task::JoinSet;

/// Serves until dropped; every connection ends with it. `users`: access and secret keys.
pub async fn serve(listener: TcpListener, store: Strict, users: &[(&str, &str)]) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut service = S3ServiceBuilder::new(store);
    let mut auth = SimpleAuth::new();
    for (access_key, secret_key) in users {
        auth.register((*access_key).to_owned(), SecretKey::from(*secret_key));
    }
    service.set_auth(auth);
    let service = service.build();

    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await?;
        // Else the second half of an answer waits 40 ms for the acknowledgement of the first.
        socket.set_nodelay(true)?;
        let service = service.clone();
        connections.spawn(async move {
            // A client that goes away in the middle is its own affair.
            let _ = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}
