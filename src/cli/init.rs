//! `init`: from a few answers to an event, the SQL for its user, the policies, and a first check.

use super::CommandOutput;
use super::key_arguments::read_file;
use crate::cancel::Cancel;
use crate::envelope::recipient::Recipient;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::format::sql::identifier;
use crate::handler::{HandlerContext, Response, handle};
use crate::human::{Answer, Mark, Screen};
use crate::observe::output;
use crate::plan::{Action, Auth, Plan};
use crate::policy::{Policies, policies};
use crate::store::NewFile;
use crate::variables::Env;
use clap::Args;
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

/// What is not given is asked for at the terminal.
#[derive(Args)]
pub struct Init {
    /// The database's name, or * for all of the server
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// The server's endpoint
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// The user who logs in for backups
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The database's AWS region
    #[arg(long = "database-region", value_name = "REGION")]
    database_region: Option<String>,
    /// The bucket for the backups
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
    /// The public key's file; `pgseal keygen` makes one
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// The new event
    #[arg(short, long, value_name = "FILE", default_value = "event.json")]
    output: PathBuf,
    /// Does not look at server and bucket
    #[arg(long)]
    no_check: bool,
}

struct InitAnswer {
    event: String,
    sql: String,
    policies: Policies,
    check: Option<Response>,
}

pub(super) async fn init(arguments: &Init, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    if arguments.output.exists() {
        return Err(exists(&arguments.output));
    }
    let event = event(arguments)?;
    let parsed = Event::parse(&event.to_string())?;
    // Before anything is written: with all that is wrong with it.
    let plan = super::resolved(&parsed, env)?;
    let mut text = serde_json::to_string_pretty(&event).map_err(|error| Error::new(Code::Bug, error.to_string()))?;
    text.push('\n');
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(&arguments.output),
        _ => Error::new(Code::BadUsage, format!("{} cannot be written: {error}", arguments.output.display())),
    };
    let mut file = NewFile::create(&arguments.output, 0o644).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.publish().map_err(failed)?;
    let check = match arguments.no_check {
        true => None,
        false => {
            let world = HandlerContext {
                env,
                deadline: None,
                cancel,
            };
            Some(handle(Ok(parsed), Some(Action::Check), &world).await)
        }
    };
    let exit = check.as_ref().map_or(0, Response::exit);
    let answer = InitAnswer {
        event: arguments.output.display().to_string(),
        sql: sql(&plan),
        policies: policies(&plan),
        check,
    };
    Ok(CommandOutput::new(answer, exit))
}

fn exists(path: &Path) -> Error {
    Error::new(Code::BadUsage, format!("{} exists already; nothing is overwritten", path.display()))
        .advise("Name another file with --output.")
}

fn event(arguments: &Init) -> Result<Value> {
    let given = |option: &Option<String>, name: &str, question: &str| match option {
        Some(value) => Ok(value.clone()),
        None => ask(name, question),
    };
    let database = given(&arguments.database, "--database", "Database (* for all)")?;
    let host = given(&arguments.host, "--host", "Endpoint of the server")?;
    let region = match (&arguments.database_region, region_in(&host)) {
        (Some(region), _) => region.clone(),
        (None, Some(region)) => region,
        (None, None) => ask("--database-region", "AWS region of the server")?,
    };
    let user = given(&arguments.user, "--user", "User for backups")?;
    let bucket = given(&arguments.bucket, "--bucket", "Bucket for the backups")?;
    let path = match &arguments.public_key {
        Some(path) => path.clone(),
        None => ask("--public-key", "File of the public key (`pgseal keygen` makes one)")?.into(),
    };
    let key = String::from_utf8_lossy(&read_file("--public-key", &path)?).into_owned();
    Recipient::parse(&key)?;
    Ok(json!({
        "database": database,
        "host": host,
        "region": region,
        "user": user,
        "bucket": bucket,
        "prefix": "backups/{host}",
        "public_key": key,
    }))
}

/// Of an endpoint of RDS.
fn region_in(host: &str) -> Option<String> {
    let labels: Vec<&str> = host.split('.').collect();
    let at = labels.iter().position(|label| *label == "rds")?;
    let region = labels.get(at.checked_sub(1)?)?;
    (labels.get(at + 1) == Some(&"amazonaws")).then(|| (*region).to_owned())
}

fn ask(option: &str, question: &str) -> Result<String> {
    if !output::stdin_is_terminal() {
        return Err(
            Error::new(Code::BadUsage, format!("{option} is missing, and there is no terminal to ask at")).advise(
                "Give all of --database, --host, --user, --bucket, --public-key and, if --host does not say it, --database-region.",
            ),
        );
    }
    output::tell(&format!("{question}: "));
    output::flush();
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Error::new(Code::BadUsage, format!("no answer: {error}")))?;
    match line.trim() {
        "" => Err(Error::new(Code::BadUsage, format!("{question}: no answer was given"))),
        answer => Ok(answer.to_owned()),
    }
}

fn sql(plan: &Plan) -> String {
    let user = identifier(&plan.source.user);
    let iam = match plan.source.auth {
        Auth::Iam { .. } => format!("GRANT rds_iam TO {user};\n"),
        Auth::Password(_) => String::new(),
    };
    format!("CREATE ROLE {user} LOGIN;\n{iam}GRANT pg_read_all_data TO {user};")
}

impl Answer for InitAnswer {
    fn json(&self) -> String {
        let check = self
            .check
            .as_ref()
            .map(|check| serde_json::from_str::<Value>(&check.to_json()).unwrap_or_default());
        json!({"status": "initialized", "event": self.event, "sql": self.sql, "policies": self.policies, "check": check}).to_string()
    }

    fn draw(&self, screen: &mut Screen) {
        screen.mark(Mark::Good, format!("{} is written: the event of this backup", self.event));
        screen.blank();
        screen.heading("As the server's administrator (PostgreSQL 14 or newer), in psql");
        screen.verbatim(&self.sql);
        screen.blank();
        self.policies.draw(screen);
        if let Some(check) = &self.check {
            screen.blank();
            screen.heading("What is there already");
            check.draw(screen);
        }
        screen.blank();
        screen.line(format!(
            "Next: pgseal check --event {0}, then pgseal backup --event {0}.",
            self.event
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_says_its_region() {
        assert_eq!(
            region_in("app.abc123.eu-central-1.rds.amazonaws.com").as_deref(),
            Some("eu-central-1")
        );
        assert_eq!(region_in("app.abc.cn-north-1.rds.amazonaws.com.cn").as_deref(), Some("cn-north-1"));
        for other in ["localhost", "rds.amazonaws.com", "db.example.com", ""] {
            assert_eq!(region_in(other), None, "{other}");
        }
    }
}
