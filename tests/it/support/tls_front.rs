//! TLS under a private authority in front of an S3 server: one request a connection.

use super::postgres::tls::Authority;
use super::s3::Bucket;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

pub struct TlsFront {
    pub endpoint: String,
    authority: Authority,
}

impl TlsFront {
    pub fn before(bucket: &Bucket) -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
        authority.issue(&["localhost".to_owned()], &certificate, &key);
        let chain = CertificateDer::pem_file_iter(&certificate).expect("a certificate");
        let chain = chain.collect::<std::result::Result<Vec<_>, _>>().expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS")
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_file(&key).expect("a key"));
        let config = Arc::new(config.expect("a configuration"));
        let env = bucket.env();
        let upstream = env.get("AWS_ENDPOINT_URL_S3").and_then(|url| url.strip_prefix("http://"));
        let upstream = upstream.expect("plain HTTP").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (config, upstream) = (config.clone(), upstream.clone());
                // What breaks here breaks the client's request: the test sees it there.
                std::thread::spawn(move || serve(socket, config, &upstream));
            }
        });
        Self {
            endpoint: format!("https://localhost:{port}"),
            authority,
        }
    }

    /// The authority's certificate.
    pub fn bundle(&self) -> PathBuf {
        self.authority.pem()
    }
}

fn serve(socket: TcpStream, config: Arc<ServerConfig>, upstream: &str) -> Result<()> {
    let connection = ServerConnection::new(config).map_err(Error::other)?;
    let mut client = BufReader::new(StreamOwned::new(connection, socket));
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if client.read_line(&mut line)? <= 2 {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(Error::other)?;
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    let mut client = client.into_inner();
    client.write_all(&answer)?;
    client.conn.send_close_notify();
    client.flush()
}
