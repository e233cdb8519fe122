//! A real pgbouncer before a server.

use super::{Server, files, keeper};
use crate::support::ports::Reserved;
use crate::support::wait::until;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use tempfile::TempDir;

/// Dropping it ends it.
pub struct Pooler {
    child: Child,
    port: Reserved,
    folder: TempDir,
}

impl Pooler {
    /// In this pool mode (`session`, `transaction`), with SCRAM on both sides and nothing ignored that it does not know.
    pub fn before(server: &Server, mode: &str) -> Self {
        let folder = TempDir::with_prefix("pgseal-pooler-").expect("a temporary folder");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).expect("the folder is opened");
        let path = folder.path().display().to_string();
        let users = format!("\"dumper\" \"{0}\"\n\"owner\" \"{0}\"\n", server.password());
        std::fs::write(folder.path().join("users"), users).expect("the users are written");
        let port = Reserved::new();
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {path}/users\npool_mode = {mode}\n",
            server.port(),
            port.port()
        );
        std::fs::write(folder.path().join("pgbouncer.ini"), config).expect("the configuration is written");
        let child = Self::launch(folder.path(), port.port());
        Self { child, port, folder }
    }

    fn launch(folder: &Path, port: u16) -> Child {
        let mut command = files::as_server_user(Path::new("/usr/sbin/pgbouncer"));
        let log = std::fs::File::create(folder.join("log")).expect("a log");
        command
            .arg(folder.join("pgbouncer.ini"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let mut child = keeper::spawn(command);
        until("pgbouncer gets ready", || {
            let ended = child.try_wait().expect("pgbouncer can be waited for");
            assert!(ended.is_none(), "pgbouncer ended before it was ready");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        child
    }

    pub fn port(&self) -> u16 {
        self.port.port()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        keeper::end(&mut self.child);
    }
}
