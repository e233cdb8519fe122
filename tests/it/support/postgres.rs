//! Real PostgreSQL servers for the tests, of Debian's major or of any from 10 to 18.
//!
//! ```ignore
//! let server = Server::start();                          // Debian's major, password login, no TLS
//! server.create_app("create table t (i int); insert into t values (1)");
//! let mut event = server.event("app");                   // database, host, port, user and auth
//! event["bucket"] = json!(bucket);
//! Pgseal::backup(&event).envs(server.env()).run().complete();
//!
//! Server::builder().major(13).start();                   // another major
//! Server::builder().tls(&["localhost"]).start();         // TLS under a CA of its own: see `Server::ca`
//! Server::builder().setting("max_connections", "5").listen("172.17.0.1").start();
//! Server::builder().standby_of(&server).start();         // a replica of it, with its roles and passwords
//! server.event_as("app", "owner");                       // a superuser, by the same password
//! let mut holder = server.session("app");                // an open session, for locks
//! holder.run("begin; lock table t");
//! ```
//!
//! Every server has the role `dumper`, which may log in and read all data (from 14 on, where the role for that
//! exists: before, `Server::let_dumper_read`), and the superuser `owner`. Tests themselves come in as `postgres`
//! through the socket. The server dies with the value, and with the test run if that is killed.

mod files;
mod keeper;
mod pooler;
mod session;
pub mod tls;

pub use pooler::Pooler;
pub use session::Session;
pub use tls::Authority;

use super::ports::Reserved;
use super::wait::until;
use files::Home;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub use files::{client_folder, clients_path, copied_installation, debian_major, newest_debian};

/// A running server. Dropping it ends it and removes its files.
pub struct Server {
    child: Child,
    home: Home,
    bin: PathBuf,
    port: Reserved,
    password: String,
    authority: Option<Authority>,
}

/// What a server shall be; `start` makes it.
#[derive(Default)]
pub struct Builder {
    major: Option<u32>,
    bin: Option<PathBuf>,
    tls: Option<(Authority, Vec<String>)>,
    hba: Vec<String>,
    settings: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    addresses: Vec<String>,
    primary: Option<Primary>,
}

struct Primary {
    conninfo: String,
    password: String,
}

impl Builder {
    /// A major from 10 to 18, instead of Debian's own. Debian's is the one that knows PAM.
    pub fn major(mut self, major: u32) -> Self {
        self.major = Some(major);
        self
    }

    /// An installation of its own, such as [`copied_installation`]: the folder of its programs.
    pub fn installed_in(mut self, bin: PathBuf) -> Self {
        self.bin = Some(bin);
        self
    }

    /// TLS with a certificate for these names, by an authority made for this server.
    pub fn tls(self, names: &[&str]) -> Self {
        self.tls_by(Authority::new(), names)
    }

    /// TLS with a certificate for these names, by this authority.
    pub fn tls_by(mut self, authority: Authority, names: &[&str]) -> Self {
        self.tls = Some((authority, names.iter().map(ToString::to_string).collect()));
        self
    }

    /// A line of `pg_hba.conf`, before the ones that let everybody in by password.
    pub fn hba(mut self, line: &str) -> Self {
        self.hba.push(line.to_owned());
        self
    }

    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A variable in the server's environment, which its backends inherit.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A further address to listen on, such as the bridge of containers.
    pub fn listen(mut self, address: &str) -> Self {
        self.addresses.push(address.to_owned());
        self
    }

    /// A replica that streams from this server, which must be of the same major and outlive it.
    pub fn standby_of(mut self, primary: &Server) -> Self {
        self.primary = Some(Primary {
            conninfo: primary.conninfo("postgres"),
            password: primary.password.clone(),
        });
        self
    }

    pub fn start(self) -> Server {
        let bin = match (&self.bin, self.major) {
            (Some(bin), _) => bin.clone(),
            (None, Some(major)) => files::server_folder(major),
            (None, None) => newest_debian(),
        };
        let home = match &self.primary {
            Some(primary) => Home::standby(&bin, &primary.conninfo),
            None => Home::new(&bin),
        };
        if let Some((authority, names)) = &self.tls {
            authority.issue(names, &home.path().join("data/server.pem"), &home.path().join("data/server.key"));
        }
        self.write_configuration(&home);
        let port = Reserved::new();
        let child = self.launch(&bin, &home, port.port());
        let authority = self.tls.map(|(authority, _)| authority);
        // A standby has its primary's roles and passwords.
        let inherited = self.primary.map(|primary| primary.password);
        let is_standby = inherited.is_some();
        let password = inherited.unwrap_or_else(|| format!("pw-{}", files::random_hex()));
        super::canaries::keep_secret(&password);
        let server = Server {
            child,
            home,
            bin,
            port,
            password,
            authority,
        };
        if !is_standby {
            server.create_roles();
        }
        server
    }

    fn write_configuration(&self, home: &Home) {
        let mut settings = vec![
            ("unix_socket_directories".to_owned(), home.path().display().to_string()),
            (
                "listen_addresses".to_owned(),
                [&["127.0.0.1".to_owned()], &self.addresses[..]].concat().join(","),
            ),
            ("password_encryption".to_owned(), "scram-sha-256".to_owned()),
            // What makes a database safe from a crash makes a test slow.
            ("fsync".to_owned(), "off".to_owned()),
            ("synchronous_commit".to_owned(), "off".to_owned()),
            ("full_page_writes".to_owned(), "off".to_owned()),
            ("shared_buffers".to_owned(), "32MB".to_owned()),
            ("max_connections".to_owned(), "40".to_owned()),
        ];
        if self.tls.is_some() {
            for (name, value) in [("ssl", "on"), ("ssl_cert_file", "server.pem"), ("ssl_key_file", "server.key")] {
                settings.push((name.to_owned(), value.to_owned()));
            }
        }
        settings.extend(self.settings.iter().cloned());
        let lines: String = settings.iter().map(|(name, value)| format!("{name} = '{value}'\n")).collect();
        home.append("data/postgresql.conf", &lines);

        let open = if self.tls.is_some() { "hostssl" } else { "host" };
        let local = "local all all trust\nlocal replication postgres trust";
        let hba = format!("{local}\n{}\n{open} all all all scram-sha-256\n", self.hba.join("\n"));
        home.replace("data/pg_hba.conf", &hba);
        home.give_to_server();
    }

    fn launch(&self, bin: &Path, home: &Home, port: u16) -> Child {
        let mut command = files::as_server_user(&bin.join("postgres"));
        command.arg("-D").arg(home.path().join("data")).args(["-p", &port.to_string()]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(home.log_file()).stderr(home.log_file());
        let mut child = keeper::spawn(command);
        until("the server gets ready", || {
            let ended = child.try_wait().expect("the server can be waited for");
            assert!(ended.is_none(), "the server ended before it was ready: {}", home.log());
            home.is_ready()
        });
        child
    }
}

impl Server {
    /// Debian's major, password login, no TLS.
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    fn create_roles(&self) {
        let password = &self.password;
        self.psql("postgres", &format!("create role owner superuser login password '{password}'"));
        self.psql("postgres", &format!("create role dumper login password '{password}'"));
        if self.major() >= 14 {
            self.psql("postgres", "grant pg_read_all_data to dumper");
        }
    }

    /// Lets `dumper` read the tables and sequences of a schema that are there now: for servers before 14.
    pub fn let_dumper_read(&self, database: &str, schema: &str) {
        for objects in ["tables", "sequences"] {
            self.psql(database, &format!("grant select on all {objects} in schema {schema} to dumper"));
        }
        self.psql(database, &format!("grant usage on schema {schema} to dumper"));
    }

    /// Runs SQL as the superuser `postgres`, stopping at the first error, and gives what it printed: one row a
    /// line, columns parted by `|`.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let mut child = self.psql_command(database).stdin(Stdio::piped()).spawn().expect("psql starts");
        let mut stdin = child.stdin.take().expect("psql has a standard input");
        let text = sql.to_owned();
        // From a thread: psql may print more than a pipe holds before it has read all.
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, text.as_bytes()));
        let output = child.wait_with_output().expect("psql ends");
        let _ = writer.join();
        assert!(
            output.status.success(),
            "psql: {}\nin: {sql:.2000}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("psql speaks UTF-8")
            .trim_end_matches('\n')
            .to_owned()
    }

    /// The database that most tests back up, with this in it.
    pub fn create_app(&self, sql: &str) {
        self.psql("postgres", "create database app");
        self.psql("app", sql);
    }

    /// A psql to come, as the superuser through the socket: for restores that want a pipe into it.
    pub fn psql_command(&self, database: &str) -> Command {
        let mut command = Command::new(newest_debian().join("psql"));
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .env_remove("PGPASSWORD");
        command.env("PGHOST", self.home.path()).env("PGPORT", self.port().to_string());
        command
            .env("PGUSER", "postgres")
            .env("PGDATABASE", database)
            .env("PGCLIENTENCODING", "UTF8");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// An open session of the superuser, for what lasts longer than a command: locks, busy slots.
    pub fn session(&self, database: &str) -> Session {
        Session::new(self.psql_command(database))
    }

    /// Conninfo of the superuser, through the socket.
    pub fn conninfo(&self, database: &str) -> String {
        format!(
            "host={} port={} user=postgres dbname='{database}'",
            self.home.path().display(),
            self.port()
        )
    }

    /// The same as a URL over TCP with the password of `owner`.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://owner:{}@localhost:{}/{database}", self.password, self.port())
    }

    /// The database's part of an event: `dumper` by password at `localhost`.
    pub fn event(&self, database: &str) -> Value {
        self.event_as(database, "dumper")
    }

    pub fn event_as(&self, database: &str, user: &str) -> Value {
        json!({"database": database, "host": "localhost", "port": self.port(), "user": user, "auth": "password"})
    }

    /// The environment that goes with `event`: password, TLS, allowed host, client tools.
    pub fn env(&self) -> Vec<(String, String)> {
        let mut pairs = vec![("PGPASSWORD".to_owned(), self.password.clone())];
        pairs.extend(self.env_without_password());
        pairs
    }

    pub fn env_without_password(&self) -> Vec<(String, String)> {
        let mut pairs = vec![("PGSEAL_ALLOWED_HOSTS".to_owned(), "localhost".to_owned())];
        match &self.authority {
            Some(authority) => pairs.push(("PGSSLROOTCERT".to_owned(), authority.pem().display().to_string())),
            // Only without TLS: not all of these clients know it.
            None => {
                pairs.push(("PGSSLMODE".to_owned(), "disable".to_owned()));
                pairs.push(("PGSEAL_PG_BIN".to_owned(), clients_path()));
            }
        }
        pairs
    }

    /// The authority that signed the server's certificate.
    pub fn ca(&self) -> &Authority {
        self.authority.as_ref().expect("the server was made with TLS")
    }

    pub fn port(&self) -> u16 {
        self.port.port()
    }

    /// The password of `dumper` and `owner`: no output may hold it.
    pub fn password(&self) -> &str {
        &self.password
    }

    pub fn major(&self) -> u32 {
        self.psql("postgres", "show server_version_num").parse::<u32>().expect("a number") / 10_000
    }

    /// Where the server's own programs are.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// What the server wrote about itself.
    pub fn log(&self) -> String {
        self.home.log()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        keeper::end(&mut self.child);
    }
}
