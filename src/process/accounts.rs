//! Who runs what in a drill by root. PostgreSQL refuses to be root; and neither the server nor psql may be a user that owns
//! anything else: not ours, not `postgres`, which on a host of databases owns the real ones.

use crate::error::{Code, Error, Result};
use crate::random;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, openat, statat};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Accounts that were made for drills, as the image has them.
const SERVER: &str = "pgseal-server";
const PSQL: &str = "pgseal-psql";
/// Users that nobody has: beyond those of people, services and containers; and where a container has fewer, those that
/// Debian leaves to the machine.
const FREE: [std::ops::Range<u32>; 2] = [2_000_000_000..2_000_100_000, 59_000..60_000];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub user: u32,
    pub group: u32,
}

/// `None`: as we are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Accounts {
    /// Of initdb, which wants one that `/etc/passwd` knows; no code of a backup runs with it.
    pub maker: Option<Account>,
    pub server: Option<Account>,
    /// Of the same group as the server: so it may use its socket.
    pub psql: Option<Account>,
}

impl Accounts {
    pub(crate) fn choose() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::default());
        }
        let known = known(&std::fs::read_to_string("/etc/passwd").unwrap_or_default());
        let mapped = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        Self::among(&known, &in_use(), &mapped)
    }

    fn among(known: &[(String, Account)], in_use: &BTreeSet<u32>, mapped: &str) -> Result<Self> {
        let named = |name: &str| known.iter().find(|(known, _)| known == name).map(|(_, account)| *account);
        let is_foreign = |(name, account): &&(String, Account)| account.user != 0 && name != "postgres";
        let maker = named(SERVER).or_else(|| named("nobody")).filter(|account| account.user != 0);
        let maker = maker.or_else(|| known.iter().find(is_foreign).map(|(_, account)| *account));
        let maker = maker.ok_or_else(|| {
            Error::new(
                Code::RestoreFailed,
                "throw-away PostgreSQL: it refuses to run as root, and /etc/passwd has no other user but postgres",
            )
        })?;
        let dedicated = named(SERVER).zip(named(PSQL));
        if let Some((server, psql)) = dedicated
            .filter(|(server, psql)| server.user != psql.user && ![server.user, psql.user].iter().any(|user| in_use.contains(user)))
        {
            return Ok(Self {
                maker: Some(Account {
                    group: server.group,
                    ..server
                }),
                server: Some(server),
                psql: Some(Account {
                    group: server.group,
                    ..psql
                }),
            });
        }
        let taken = |id: u32| in_use.contains(&id) || known.iter().any(|(_, account)| account.user == id || account.group == id);
        let [user, psql, group] = free(taken, mapped)?;
        Ok(Self {
            // In the drill's own group: nobody else of this user comes into the folder.
            maker: Some(Account { group, ..maker }),
            server: Some(Account { user, group }),
            psql: Some(Account { user: psql, group }),
        })
    }

    pub(crate) fn are_used(&self) -> bool {
        self.server.is_some()
    }
}

/// `name:password:uid:gid:…` of passwd(5).
fn known(accounts: &str) -> Vec<(String, Account)> {
    let account = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let id = |place: usize| fields.get(place)?.parse().ok();
        Some((
            (*fields.first()?).to_owned(),
            Account {
                user: id(2)?,
                group: id(3)?,
            },
        ))
    };
    accounts.lines().filter_map(account).collect()
}

/// Users of running processes.
fn in_use() -> BTreeSet<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .filter_map(|entry| Some(entry.metadata().ok()?.uid()))
        .collect()
}

/// Three that nobody has, of the first range that this namespace maps.
fn free(taken: impl Fn(u32) -> bool, mapped: &str) -> Result<[u32; 3]> {
    let is_mapped = |range: &&std::ops::Range<u32>| {
        mapped.lines().any(|line| {
            let mut numbers = line.split_whitespace().filter_map(|number| number.parse::<u64>().ok());
            let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
            first
                .zip(count)
                .is_some_and(|(first, count)| first <= u64::from(range.start) && u64::from(range.end) <= first + count)
        })
    };
    let none = |reason: &str| Error::new(Code::RestoreFailed, format!("throw-away PostgreSQL: {reason}"));
    let range = FREE.iter().find(is_mapped).ok_or_else(|| none("no user of its own is free here"))?;
    let mut found = Vec::new();
    while found.len() < 3 {
        let id = range.start + u32::from_le_bytes(random::bytes()?) % (range.end - range.start);
        if !taken(id) && !found.contains(&id) {
            found.push(id);
        }
    }
    Ok([found[0], found[1], found[2]])
}

/// The command in a bare environment, as this user and without any other group.
pub(crate) fn run_as(program: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    if let Some(Account { user, group }) = account {
        // Where root changes the user, the standard library drops the supplementary groups.
        command.uid(user).gid(group);
    }
    // A server must not sit in a folder that its user may not enter.
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
    command
}

/// Gives an open file away.
pub(crate) fn give(file: impl AsFd, account: Option<Account>) -> std::io::Result<()> {
    let Some(Account { user, group }) = account else { return Ok(()) };
    Ok(rustix::fs::fchown(file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?)
}

/// Gives a folder away with all that is in it; follows no link on the way.
pub(crate) fn give_tree(folder: &Path, account: Option<Account>) -> std::io::Result<()> {
    let Some(account) = account else { return Ok(()) };
    give_all(&openat(CWD, folder, FOLDER, Mode::empty())?, account)
}

const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::RDONLY)
    .union(OFlags::CLOEXEC);

fn give_all(folder: &OwnedFd, account: Account) -> std::io::Result<()> {
    let (user, group) = (Some(Uid::from_raw(account.user)), Some(Gid::from_raw(account.group)));
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            give_all(&openat(folder, name, FOLDER, Mode::empty())?, account)?;
        } else {
            chownat(folder, name, user, group, AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(rustix::fs::fchown(folder, user, group)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "root:x:0:0::/root:/bin/sh\npostgres:x:101:104::/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nodd\n";
    const WHOLE: &str = "         0          0 4294967295\n";

    fn chosen(accounts: &str, in_use: &[u32], mapped: &str) -> Result<Accounts> {
        Accounts::among(&known(accounts), &in_use.iter().copied().collect(), mapped)
    }

    #[test]
    fn server_and_psql_are_neither_root_nor_postgres_nor_each_other() {
        let chosen = chosen(HOST, &[0, 101], WHOLE).unwrap();
        let (server, psql, maker) = (chosen.server.unwrap(), chosen.psql.unwrap(), chosen.maker.unwrap());
        assert!(FREE[0].contains(&server.user) && FREE[0].contains(&psql.user) && server.user != psql.user);
        assert_eq!((server.group, maker.group), (psql.group, psql.group));
        assert_eq!(maker.user, 65534);
    }

    #[test]
    fn accounts_made_for_drills_are_taken_unless_something_runs_as_one() {
        let image = format!("{HOST}pgseal-server:x:10002:10002::/:/\npgseal-psql:x:10003:10003::/:/\n");
        let dedicated = chosen(&image, &[0], WHOLE).unwrap();
        assert_eq!(dedicated.server, Some(Account { user: 10002, group: 10002 }));
        assert_eq!(dedicated.psql, Some(Account { user: 10003, group: 10002 }));
        let other = chosen(&image, &[0, 10003], WHOLE).unwrap();
        assert!(FREE[0].contains(&other.psql.unwrap().user));
    }

    #[test]
    fn a_container_with_few_users_has_some_for_a_drill_and_one_with_none_says_so() {
        let few = chosen(HOST, &[0], "0 100000 65536\n").unwrap();
        assert!(FREE[1].contains(&few.server.unwrap().user));
        assert!(chosen(HOST, &[0], "0 1000 1\n").is_err());
        assert!(chosen("root:x:0:0::/:/\npostgres:x:101:104::/:/\n", &[0], WHOLE).is_err());
    }

    #[test]
    fn giving_a_folder_away_follows_no_link() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/file"), "").unwrap();
        std::fs::write(other.path().join("theirs"), "").unwrap();
        std::os::unix::fs::symlink(other.path(), folder.path().join("a/link")).unwrap();
        let account = Account {
            user: 2_000_000_001,
            group: 2_000_000_002,
        };
        give_tree(folder.path(), Some(account)).unwrap();
        let owner = |path: &Path| std::fs::symlink_metadata(path).unwrap().uid();
        for path in ["", "a", "a/file", "a/link"] {
            assert_eq!(owner(&folder.path().join(path)), account.user, "{path}");
        }
        assert_eq!((owner(other.path()), owner(&other.path().join("theirs"))), (0, 0));
        let link = folder.path().join("to");
        std::os::unix::fs::symlink(other.path(), &link).unwrap();
        assert!(give_tree(&link, Some(account)).is_err());
    }
}
