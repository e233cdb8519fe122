//! Where servers and client tools are, and the folder of one server.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

const INSTALL: &str = "run testbed/postgres.sh install";

/// Who runs servers where the tests run as root, which PostgreSQL refuses to be.
const SERVER_USER: &str = "postgres";

/// The cache that the install scripts fill, outside the tree.
pub fn pgseal_cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME")).join(".cache/pgseal");
    std::env::var_os("TESTBED_CACHE").map_or_else(home, PathBuf::from)
}

/// The programs of the server of one major.
pub fn server_folder(major: u32) -> PathBuf {
    let folder = pgseal_cache().join(format!("postgres/{major}/bin"));
    // Resolved: the cache may be closed to the server's user, what the link points at is not.
    folder
        .canonicalize()
        .unwrap_or_else(|_| panic!("no PostgreSQL {major} in {}: {INSTALL}", folder.display()))
}

/// Debian's server once more, below this folder: PostgreSQL finds its files from where its program lies, so that what is put
/// into this one's `extension` is in no other. Gives its programs and that folder.
pub fn copied_installation(to: &Path) -> (PathBuf, PathBuf) {
    let major = debian_major();
    let (lib, share) = (
        to.join(format!("lib/postgresql/{major}")),
        to.join(format!("share/postgresql/{major}")),
    );
    for folder in [&lib, share.parent().expect("a folder")] {
        fs::create_dir_all(folder).expect("a folder");
    }
    let copy = |from: String, to: &Path| {
        let status = Command::new("cp").arg("-rL").arg(from).arg(to).status().expect("cp starts");
        assert!(status.success());
    };
    copy(format!("/usr/lib/postgresql/{major}/bin"), &lib);
    copy(format!("/usr/share/postgresql/{major}"), &share);
    std::os::unix::fs::symlink(format!("/usr/lib/postgresql/{major}/lib"), lib.join("lib")).expect("a link");
    fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("permissions");
    (lib.join("bin"), share.join("extension"))
}

/// The client tools of one major, for `PGSEAL_PG_BIN`.
pub fn client_folder(major: u32) -> PathBuf {
    let folder = pgseal_cache().join(format!("pg-clients/{major}/bin"));
    assert!(
        folder.join("pg_dump").exists(),
        "no pg_dump {major} in {}: {INSTALL}",
        folder.display()
    );
    folder
}

/// The client tools of 16, 17 and 18 as one `PGSEAL_PG_BIN`.
pub fn clients_path() -> String {
    let folders = [16, 17, 18].map(|major| client_folder(major).display().to_string());
    folders.join(":")
}

/// The newest major among Debian's packages.
pub fn debian_major() -> u32 {
    let folders = fs::read_dir("/usr/lib/postgresql").unwrap_or_else(|_| panic!("no PostgreSQL of Debian: {INSTALL}"));
    let names = folders.flatten().filter(|folder| folder.path().join("bin/postgres").exists());
    let majors = names.filter_map(|folder| folder.file_name().to_str()?.parse().ok());
    majors
        .max()
        .unwrap_or_else(|| panic!("no server of Debian's in /usr/lib/postgresql: {INSTALL}"))
}

pub fn newest_debian() -> PathBuf {
    PathBuf::from(format!("/usr/lib/postgresql/{}/bin", debian_major()))
}

pub fn random_hex() -> String {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .expect("random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A command in a bare environment that runs as the server's user and ends with anyone who started it.
pub fn as_server_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "QUIT"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C");
    if is_root() {
        command.args(["--reuid", SERVER_USER, "--regid", SERVER_USER, "--init-groups"]);
    }
    // A server must not sit in a folder that its user may not enter.
    command.arg("--").arg(program).current_dir("/");
    command
}

fn done(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = || {
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    };
    assert!(output.status.success(), "{command:?}: {}", said());
}

fn give(path: &Path) {
    if is_root() {
        done(Command::new("chown").arg("-R").arg(format!("{SERVER_USER}:")).arg(path));
    }
}

/// One server's folder: `data`, `log` and the socket.
pub struct Home(TempDir);

impl Home {
    /// A new cluster, copied from one that was initialised once: that takes a tenth of the time.
    pub fn new(bin: &Path) -> Self {
        let home = Self::empty();
        done(
            Command::new("cp")
                .args(["-a", "--reflink=auto"])
                .arg(template(bin))
                .arg(home.path().join("data")),
        );
        home
    }

    /// A copy of the server behind this conninfo that follows it.
    pub fn standby(bin: &Path, conninfo: &str) -> Self {
        let home = Self::empty();
        let mut copy = Command::new(bin.join("pg_basebackup"));
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "-d", conninfo, "-D"])
            .arg(home.path().join("data"));
        done(copy.env_remove("PGPASSWORD"));
        home
    }

    fn empty() -> Self {
        let home = Self(TempDir::with_prefix("pgseal-pg-").expect("a temporary folder"));
        File::create(home.path().join("log")).expect("the server's log");
        home
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn append(&self, file: &str, text: &str) {
        let mut file = OpenOptions::new()
            .append(true)
            .open(self.path().join(file))
            .expect("a file of the cluster");
        file.write_all(text.as_bytes()).expect("the file can be written");
    }

    pub fn replace(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).expect("the file can be written");
    }

    pub fn give_to_server(&self) {
        give(self.path());
    }

    pub fn log_file(&self) -> File {
        OpenOptions::new()
            .append(true)
            .open(self.path().join("log"))
            .expect("the server's log")
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path().join("log")).unwrap_or_default()).into_owned()
    }

    /// The eighth line of postmaster.pid is the server's own word on whether it takes connections.
    pub fn is_ready(&self) -> bool {
        let text = fs::read_to_string(self.path().join("data/postmaster.pid")).unwrap_or_default();
        text.lines().nth(7).is_some_and(|state| state.trim() == "ready")
    }
}

/// The initialised cluster of a release, in the cache: made by anyone who comes first, everyone else waits.
fn template(bin: &Path) -> PathBuf {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| fs::create_dir_all(pgseal_cache().join("pg-templates")).expect("the cache can be written"));
    let version = Command::new(bin.join("postgres"))
        .arg("--version")
        .output()
        .expect("postgres starts");
    let release = String::from_utf8_lossy(&version.stdout)
        .trim()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let folder = pgseal_cache().join("pg-templates").join(release);
    if folder.exists() {
        return folder;
    }
    let lock = File::create(folder.with_extension("lock")).expect("a lock in the cache");
    lock.lock().expect("the lock");
    if !folder.exists() {
        let work = TempDir::with_prefix("pgseal-initdb-").expect("a temporary folder");
        give(work.path());
        let mut initdb = as_server_user(&bin.join("initdb"));
        initdb.args(["-U", "postgres", "-E", "UTF8", "--no-locale", "-N", "-A", "trust", "-D"]);
        done(initdb.arg(work.path().join("data")));
        // Under another name first: a folder that exists is whole.
        let unfinished = folder.with_extension("new");
        let _ = fs::remove_dir_all(&unfinished);
        done(Command::new("cp").arg("-a").arg(work.path().join("data")).arg(&unfinished));
        fs::rename(&unfinished, &folder).expect("the template is moved into place");
    }
    folder
}
