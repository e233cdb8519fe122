//! A private certificate authority, made with stock openssl.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// An authority of one test's own; its files go with it.
pub struct Authority {
    folder: TempDir,
    end: &'static str,
}

impl Authority {
    pub fn new() -> Self {
        Self::issuing_until("20491231235959Z")
    }

    /// One whose servers' certificates ended long ago; its own has not.
    pub fn of_expired() -> Self {
        Self::issuing_until("20200102000000Z")
    }

    fn issuing_until(end: &'static str) -> Self {
        let folder = TempDir::with_prefix("pgseal-ca-").expect("a temporary folder");
        let authority = Self { folder, end };
        let (pem, key) = (authority.pem(), authority.file("ca.key"));
        openssl(&[
            &["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=Authority of a test"],
            KEY,
            &[
                "-addext",
                "keyUsage=critical,keyCertSign",
                "-out",
                text(&pem),
                "-keyout",
                text(&key),
            ],
        ]);
        fs::write(authority.file("index"), "").expect("the authority's index");
        fs::write(authority.file("ca.cnf"), CONFIGURATION).expect("the authority's configuration");
        authority
    }

    /// The certificate that clients shall trust.
    pub fn pem(&self) -> PathBuf {
        self.file("ca.pem")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a server's certificate for these names, and its key.
    pub fn issue(&self, names: &[String], certificate: &Path, key: &Path) {
        let alternatives: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
        let request = self.file("request");
        openssl(&[
            &[
                "req",
                "-nodes",
                "-subj",
                "/CN=Server of a test",
                "-out",
                text(&request),
                "-keyout",
                text(key),
            ],
            KEY,
            &["-addext", &format!("subjectAltName={}", alternatives.join(","))],
            &[
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-addext",
                "extendedKeyUsage=serverAuth",
            ],
        ]);
        // `openssl ca`, since it alone takes the dates in every release.
        let output = Command::new("openssl")
            .args([
                "ca",
                "-batch",
                "-notext",
                "-config",
                "ca.cnf",
                "-in",
                "request",
                "-out",
                text(certificate),
            ])
            .args(["-startdate", "20200101000000Z", "-enddate", self.end])
            .current_dir(self.folder.path())
            .output()
            .expect("openssl starts");
        assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    }
}

const KEY: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

const CONFIGURATION: &str = "\
[ca]
default_ca = authority
[authority]
certificate = ca.pem
private_key = ca.key
database = index
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
copy_extensions = copy
policy = any
[any]
commonName = supplied
";

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn openssl(arguments: &[&[&str]]) {
    let output = Command::new("openssl").args(arguments.concat()).output().expect("openssl starts");
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
}
