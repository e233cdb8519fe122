//! Which hosts may be logged in to: a token or password goes to no other.

use crate::error::{Code, Error, Result};

/// The endpoints of RDS, in every partition.
const DEFAULT: &str = "*.rds.amazonaws.com,*.rds.amazonaws.com.cn,*.rds.cn-north-1.amazonaws.com.cn,*.rds.cn-northwest-1.amazonaws.com.cn";

/// A host name that the allow-list has let through: nothing else can be dialled.
///
/// - letters, digits, dots and dashes only: no socket path, list, user or port can hide in it;
/// - matched by `*.suffix` as a name with a label in front of it, or listed exactly (then an address is possible too).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

impl Host {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The first label of the name, or the address.
    pub(crate) fn label(&self) -> &str {
        match self.0.parse::<std::net::IpAddr>() {
            Ok(_) => &self.0,
            Err(_) => self.0.split('.').next().unwrap_or(&self.0),
        }
    }
}

/// `PGSEAL_ALLOWED_HOSTS`: exact names, `*.suffix` patterns and `*` for any host, separated by commas.
#[derive(Clone, Debug)]
pub struct AllowedHosts {
    entries: Vec<String>,
    /// Where not empty, a host must be one of these too.
    only: Vec<String>,
}

impl AllowedHosts {
    pub(crate) fn parse(list: Option<&str>) -> Self {
        let list = list.unwrap_or(DEFAULT);
        let entries = list
            .split(',')
            .map(|entry| entry.trim().to_ascii_lowercase())
            .filter(|entry| !entry.is_empty());
        Self {
            entries: entries.collect(),
            only: Vec::new(),
        }
    }

    /// These alone, as far as the list admits them.
    pub(crate) fn only<'a>(mut self, hosts: impl IntoIterator<Item = &'a str>) -> Self {
        self.only = hosts.into_iter().map(str::to_ascii_lowercase).collect();
        self
    }

    pub(crate) fn admit(&self, host: &str) -> Result<Host> {
        let name = host.to_ascii_lowercase();
        let dns = is_dns_name(&name);
        let address = name.parse::<std::net::IpAddr>().is_ok();
        let admitted = self.entries.iter().any(|entry| match entry.strip_prefix('*') {
            Some("") => dns || address,
            Some(suffix) => dns && suffix.starts_with('.') && name.strip_suffix(suffix).is_some_and(|label| !label.is_empty()),
            None => *entry == name && (dns || address),
        });
        let refused = |reason: &str| Err(Error::field(Code::HostNotAllowed, "host", reason));
        if !admitted && address_with_more(&name) {
            let error = Error::field(
                Code::HostNotAllowed,
                "host",
                "must be a host's name alone: no URL, no port, no path",
            );
            return Err(error.advise("Give the name in `host`, the port in `port`, the database in `database`, the user in `user`."));
        }
        if !admitted {
            return refused("is not among the hosts that the environment variable PGSEAL_ALLOWED_HOSTS allows (default: RDS endpoints)");
        }
        if !self.only.is_empty() && !self.only.contains(&name) {
            return refused("is not POSTGRES_HOST, which is the only host that is allowed where PGSEAL_ALLOWED_HOSTS is not set");
        }
        Ok(Host(name))
    }
}

/// A URL, or a name with port or path.
fn address_with_more(name: &str) -> bool {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let has_port = |name: &str| name.rsplit_once(':').is_some_and(|(name, port)| is_port(port) && is_dns_name(name));
    name.contains("://") || name.split_once('/').is_some_and(|(name, _)| is_dns_name(name) || has_port(name)) || has_port(name)
}

/// RFC 1123, and not an address.
fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label) && name.parse::<std::net::IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_rds_are_admitted() {
        let allowed = AllowedHosts::parse(None);
        for host in [
            "app.abc123.eu-central-1.rds.amazonaws.com",
            "APP.abc.cn-north-1.rds.amazonaws.com.cn",
            "app.abc.rds.cn-north-1.amazonaws.com.cn",
        ] {
            assert_eq!(allowed.admit(host).unwrap().as_str(), host.to_ascii_lowercase());
        }
    }

    #[test]
    fn a_url_as_host_is_told_as_such() {
        for host in [
            "postgresql://u@app.abc.eu-central-1.rds.amazonaws.com/app",
            "app.abc.eu-central-1.rds.amazonaws.com:5432",
            "app.abc.eu-central-1.rds.amazonaws.com/app",
        ] {
            let error = AllowedHosts::parse(None).admit(host).unwrap_err();
            assert!(
                error.code == Code::HostNotAllowed && error.message.contains("name alone"),
                "{error}"
            );
        }
        let other = AllowedHosts::parse(None).admit("db.example.com").unwrap_err();
        assert!(other.message.contains("PGSEAL_ALLOWED_HOSTS"));
    }

    #[test]
    fn everything_else_is_refused() {
        let allowed = AllowedHosts::parse(None);
        for host in [
            "",
            "localhost",
            "127.0.0.1",
            "::1",
            "169.254.169.254",
            "/var/run/postgresql",
            "@socket",
            "a,b.rds.amazonaws.com",
            "evil@db.rds.amazonaws.com",
            "rds.amazonaws.com",
            ".rds.amazonaws.com",
            "evilrds.amazonaws.com",
            "db.rds.amazonaws.com.evil.org",
            "db.rds.amazonaws.com:5432",
            "db rds.amazonaws.com",
            "db.rds.amazonaws.com\n",
            "host=x.rds.amazonaws.com",
            "-a.rds.amazonaws.com",
        ] {
            assert_eq!(allowed.admit(host).unwrap_err().code, Code::HostNotAllowed, "{host:?}");
        }
    }

    #[test]
    fn an_exact_entry_admits_even_an_address() {
        let allowed = AllowedHosts::parse(Some("127.0.0.1, db.example.com"));
        assert!(allowed.admit("127.0.0.1").is_ok());
        assert!(allowed.admit("DB.example.com").is_ok());
        assert!(allowed.admit("x.rds.amazonaws.com").is_err());
    }

    #[test]
    fn the_environments_own_host_is_the_only_one_and_widens_nothing() {
        let (own, other) = (
            "app.abc123.eu-central-1.rds.amazonaws.com",
            "other.abc123.eu-central-1.rds.amazonaws.com",
        );
        let allowed = AllowedHosts::parse(None).only([&*own.to_ascii_uppercase()]);
        assert_eq!(allowed.admit(own).unwrap().as_str(), own);
        let error = allowed.admit(other).unwrap_err();
        assert!(
            error.code == Code::HostNotAllowed && error.message.contains("PGSEAL_ALLOWED_HOSTS"),
            "{error}"
        );
        assert!(AllowedHosts::parse(None).only(["localhost"]).admit("localhost").is_err());
    }

    #[test]
    fn a_star_alone_admits_every_name_and_address_and_nothing_else() {
        let allowed = AllowedHosts::parse(Some("*"));
        assert!(allowed.admit("db.example.com").is_ok() && allowed.admit("10.0.0.1").is_ok());
        for host in ["/tmp", "a,b", "user@host", "", "host=x"] {
            assert!(allowed.admit(host).is_err(), "{host:?}");
        }
    }
}
