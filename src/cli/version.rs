//! Which program this is: its version, and on request what it was built from and the clients that it would run.

use crate::process::client_tools;
use crate::variables::Env;
use std::collections::BTreeSet;
use std::env::consts::ARCH;

/// Given by anyone who builds, as the Dockerfile does: a checkout that has changed since its commit cannot say so by itself.
const REVISION: Option<&str> = option_env!("SOURCE_REVISION");

/// The ABI's part of the target's name.
const ABI: &str = if cfg!(target_env = "musl") { "musl" } else { "gnu" };

pub fn version(verbose: bool, env: &Env) -> String {
    let mut lines = vec![format!("pgseal {}", env!("CARGO_PKG_VERSION"))];
    if verbose {
        lines.push(format!("commit: {}", REVISION.unwrap_or("unknown")));
        lines.push(format!("target: {ARCH}-unknown-linux-{ABI}"));
        lines.extend(["pg_dump", "psql"].iter().flat_map(|program| installed(program, env)));
    }
    lines.join("\n")
}

/// A line for each, in the order in which they are looked for.
fn installed(program: &str, env: &Env) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut found = client_tools::installed(program, &env.client_folders(), env.get("PATH"));
    // One folder may have two names, as /bin and /usr/bin have.
    found.retain(|client| seen.insert(client.program(program).canonicalize().ok()));
    if found.is_empty() {
        return vec![format!("{program}: none found")];
    }
    let line = |client: &client_tools::ClientTools| format!("{program}: {} in {}", client.version, client.folder.display());
    found.iter().map(line).collect()
}
