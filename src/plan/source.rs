//! The server of an event, and who logs in there.

use super::resolve::bad;
use super::values as value;
use super::{AllowedHosts, Auth, DatabaseTarget, Discovery, Limits, PasswordSource, RegionName, Source, TlsMode};
use crate::error::{Code, Error, Faults, Result};
use crate::event::{EventFields, missing};
use crate::variables::Env;
use secrecy::SecretString;
use std::path::PathBuf;

pub(super) fn source(asked: &EventFields<'_>, env: &Env, faults: &mut Faults) -> Option<Source> {
    let allowed_hosts = faults.keep(allowed_hosts(asked, env));
    let target = allowed_hosts.as_ref().and_then(|allowed| faults.keep(target(asked, allowed)));
    let region = asked.text("region");
    let region = faults.keep(region.and_then(|text| text.map(|text| RegionName::new("region", &text)).transpose()));
    let auth = region.as_ref().and_then(|region| faults.keep(auth(asked, region.as_ref(), env)));
    let is_told = auth.is_none();
    let is_looked_up = matches!(target, Some(DatabaseTarget::Instance(_) | DatabaseTarget::Discovered(_)));
    if is_looked_up && matches!(region, Some(None)) && !is_told {
        faults.add(missing(&["region"]));
    }
    let user = faults.keep(user(asked));
    let port = faults.keep(asked.number("port", 1..=65_535));
    let tls_mode = auth.as_ref().and_then(|auth| faults.keep(tls_mode(auth, env)));
    let limits = faults.keep(Limits::from_env(env));
    Some(Source {
        target: target?,
        port: port?.map(|port| port as u16),
        user: user?,
        tls_mode: tls_mode?,
        auth: auth?,
        region: region?,
        root_certificates: env.get("PGSSLROOTCERT").map(PathBuf::from),
        allowed_hosts: allowed_hosts?,
        limits: limits?,
    })
}

fn target(asked: &EventFields<'_>, allowed_hosts: &AllowedHosts) -> Result<DatabaseTarget> {
    let asked = asked.of_one_rank(&["host", "instance", "discover"]);
    match (asked.text("host")?, asked.text("instance")?, asked.object("discover")?) {
        (Some(host), None, None) => Ok(DatabaseTarget::Host(allowed_hosts.admit(&host)?)),
        (None, Some(instance), None) => Ok(DatabaseTarget::Instance(value::instance(instance)?)),
        (None, None, Some(members)) => Ok(DatabaseTarget::Discovered(Discovery::new(members)?)),
        (None, None, None) => Err(missing(&["host", "instance"])),
        (Some(_), Some(_), _) => Err(bad("host", "and `instance` exclude each other: give one")),
        _ => Err(bad("discover", "is given beside `host` or `instance`: give one of the three")),
    }
}

fn auth(asked: &EventFields<'_>, region: Option<&RegionName>, env: &Env) -> Result<Auth> {
    match asked.text("auth")?.as_deref() {
        None | Some("iam") => Ok(Auth::Iam {
            region: region.cloned().ok_or_else(|| missing(&["region"]))?,
        }),
        Some("password") => Ok(Auth::Password(password_source(asked, env)?)),
        Some(_) => Err(bad("auth", "must be iam or password")),
    }
}

fn user(asked: &EventFields<'_>) -> Result<String> {
    let user = asked.required("user")?;
    if user.chars().any(char::is_control) || user.len() > 63 {
        return Err(Error::field(
            Code::BadName,
            "user",
            "must be at most 63 bytes without control characters",
        ));
    }
    Ok(user)
}

/// A host of the environment's own choice is the only one, where it names no others: an event cannot turn the function into
/// a probe of the network around it.
fn allowed_hosts(asked: &EventFields<'_>, env: &Env) -> Result<AllowedHosts> {
    match (env.get("PGSEAL_ALLOWED_HOSTS"), env.get("POSTGRES_HOST")) {
        (Some(list), _) => Ok(AllowedHosts::parse(Some(list))),
        (None, None) => Ok(AllowedHosts::parse(None)),
        (None, Some(host)) => {
            let own = asked.of_defaults().text("host")?;
            Ok(AllowedHosts::parse(None).only([host].into_iter().chain(own.as_deref())))
        }
    }
}

fn password_source(asked: &EventFields<'_>, env: &Env) -> Result<PasswordSource> {
    if let Some(arn) = asked.text("password_secret")? {
        return Ok(PasswordSource::Secret(value::secret_arn(arn)?));
    }
    if let Some(password) = env.get("PGPASSWORD") {
        return Ok(PasswordSource::Variable(SecretString::from(password)));
    }
    env.get("PGPASSFILE")
        .map(|path| PasswordSource::Passfile(PathBuf::from(path)))
        .ok_or_else(|| {
            bad(
                "password_secret",
                "is missing: with `auth` password give it, or PGPASSWORD or PGPASSFILE in the environment",
            )
        })
}

/// A token must reach the right server only; a password's owner may choose.
fn tls_mode(auth: &Auth, env: &Env) -> Result<TlsMode> {
    if matches!(auth, Auth::Iam { .. }) {
        return Ok(TlsMode::VerifyFull);
    }
    match env.get("PGSSLMODE") {
        None | Some("verify-full") => Ok(TlsMode::VerifyFull),
        Some("verify-ca") => Ok(TlsMode::VerifyCa),
        Some("require") => Ok(TlsMode::Require),
        Some("disable") => Ok(TlsMode::Disable),
        Some(_) => Err(Error::new(
            Code::BadEvent,
            "PGSSLMODE must be verify-full, verify-ca, require or disable: the others may fall back to no TLS",
        )),
    }
}
