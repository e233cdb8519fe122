//! `init`: from a few answers to an event, the SQL for its user, the policies, and a first check.

use super::CommandOutput;
use super::key_arguments::read_file;
use crate::background;
use crate::cancel::Cancel;
use crate::envelope::recipient::Recipient;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::format::names::DatabaseName;
use crate::format::sql::identifier;
use crate::handler::{HandlerContext, Response, handle};
use crate::human::{Answer, Mark, Screen};
use crate::observe::output;
use crate::plan::{Action, AllowedHosts, Auth, BucketName, Plan, RegionName, bucket};
use crate::policy::{Policies, policies};
use crate::store::NewFile;
use crate::variables::Env;
use clap::Args;
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;

/// What `keygen` makes.
const PUBLIC_KEY: &str = "public_key.pem";

/// What is not given is asked for at the terminal.
#[derive(Args)]
pub struct Init {
    /// The database's name, or * for all of the server
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// The server's endpoint
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// The server's port, if it is not 5432
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// How the user logs in: iam or password; IAM if it is not given
    #[arg(long, value_name = "KIND")]
    auth: Option<String>,
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
    by_password: bool,
    sql: String,
    policies: Policies,
    check: Option<Response>,
}

pub(super) async fn init(arguments: &Init, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    if arguments.output.exists() {
        return Err(exists(&arguments.output));
    }
    let event = event(arguments, env, cancel).await?;
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
        by_password: matches!(plan.source.auth, Auth::Password(_)),
        sql: sql(&plan),
        policies: policies(&plan),
        check,
    };
    Ok(CommandOutput::new(answer, exit))
}

fn exists(path: &Path) -> Error {
    let name = path.display();
    Error::new(Code::BadUsage, format!("{name} exists already; nothing is overwritten")).advise(format!(
        "Check it with `pgseal check --event {name}`, or name another file with --output."
    ))
}

async fn event(arguments: &Init, env: &Env, cancel: &Cancel) -> Result<Value> {
    let database = answer(
        OptionValue::given(&arguments.database),
        "--database",
        "Database (* for all)",
        cancel,
        |text| match text {
            "*" => Ok(text.to_owned()),
            name => DatabaseName::new(name).map(|name| name.as_str().to_owned()),
        },
    );
    let database = database.await?;
    // As a backup will: nobody answers all else for a host that is refused.
    let allowed = AllowedHosts::parse(env.get("PGSEAL_ALLOWED_HOSTS").or(env.get("POSTGRES_HOST")));
    let admitted = |text: &str| allowed.admit(text).map(|_| text.to_owned());
    let host = answer(
        OptionValue::given(&arguments.host),
        "--host",
        "Endpoint of the server",
        cancel,
        admitted,
    )
    .await?;
    let region = match (&arguments.database_region, region_in(&host)) {
        (None, Some(region)) => region,
        (region, _) => {
            let known = |text: &str| RegionName::new("region", text).map(|_| text.to_owned());
            let usual = bucket::region_variable(env).map(|(_, region)| region.to_owned());
            let region = OptionValue::given(region).or_usually(usual);
            answer(region, "--database-region", "AWS region of the server", cancel, known).await?
        }
    };
    let user = OptionValue::given(&arguments.user).or_usually(Some("backup".to_owned()));
    let user = answer(user, "--user", "User for backups", cancel, role).await?;
    let named = |text: &str| BucketName::new(text).map(|_| text.to_owned());
    let bucket = answer(
        OptionValue::given(&arguments.bucket),
        "--bucket",
        "Bucket for the backups",
        cancel,
        named,
    )
    .await?;
    let path = arguments.public_key.as_ref().map(|path| path.to_string_lossy().into_owned());
    let question = "File of the public key (`pgseal keygen` makes one)";
    let made = Path::new(PUBLIC_KEY).exists().then(|| PUBLIC_KEY.to_owned());
    let key = answer(
        OptionValue::given(&path).or_usually(made),
        "--public-key",
        question,
        cancel,
        public_key,
    )
    .await?;
    let mut event = json!({"database": database, "host": host});
    if let Some(port) = arguments.port {
        event["port"] = json!(port);
    }
    (event["user"], event["region"], event["bucket"]) = (json!(user), json!(region), json!(bucket));
    if let Some(auth) = &arguments.auth {
        event["auth"] = json!(auth);
    }
    event["public_key"] = json!(key);
    Ok(event)
}

/// PostgreSQL takes any name; one with these is the answer to another question.
fn role(text: &str) -> Result<String> {
    match text.contains(['/', ':', ' ', '@']) {
        true => Err(Error::field(
            Code::BadEvent,
            "user",
            "must be the name of a PostgreSQL role, such as backup",
        )),
        false => Ok(text.to_owned()),
    }
}

/// What the file holds; `public_key` of the event, as it stands there.
fn public_key(path: &str) -> Result<String> {
    let key = String::from_utf8_lossy(&read_file("--public-key", Path::new(path))?).into_owned();
    Recipient::parse(&key).map_err(|error| match error.code {
        Code::PrivateKeyGiven => Error::new(error.code, format!("{path} holds a private key; it was not used")).advise(format!(
            "Give its public half: `openssl pkey -in {path} -pubout -out public_key.pem`."
        )),
        _ => error,
    })?;
    Ok(key)
}

/// What is known before the question.
#[derive(Default)]
struct OptionValue {
    /// On the command line.
    given: Option<String>,
    /// What an empty answer means.
    usual: Option<String>,
}

impl OptionValue {
    fn given(value: &Option<String>) -> Self {
        Self {
            given: value.clone(),
            usual: None,
        }
    }

    fn or_usually(mut self, value: Option<String>) -> Self {
        self.usual = value;
        self
    }
}

/// An option's value, or what is typed at the question: asked again until it can be right.
async fn answer(option: OptionValue, name: &str, question: &str, cancel: &Cancel, read: impl Fn(&str) -> Result<String>) -> Result<String> {
    if let Some(value) = &option.given {
        return read(value);
    }
    let usual = option.usual.as_deref().unwrap_or_default();
    let question = match usual {
        "" => question.to_owned(),
        usual => format!("{question} [{usual}]"),
    };
    loop {
        let typed = ask(name, &question, cancel).await?;
        let typed = match typed.trim() {
            "" => usual,
            typed => typed,
        };
        match read(typed) {
            _ if typed.is_empty() => output::tell("  An answer is needed.\n"),
            Ok(value) => return Ok(value),
            Err(error) => {
                // The general advice is about an event, which is not there yet.
                let advice = match (error.code, error.own_hint()) {
                    (Code::BadEvent, None) => String::new(),
                    (Code::HostNotAllowed, None) => format!(
                        "\n  If it is right, end with Ctrl-C, run `export PGSEAL_ALLOWED_HOSTS={}`, and start `pgseal init` again.",
                        typed
                    ),
                    _ => format!("\n  {}", error.hint()),
                };
                output::tell(&format!("  {}{advice}\n", about_answer(&error)));
            }
        }
    }
}

/// In the words of a question: there is no field yet.
fn about_answer(error: &Error) -> String {
    match error.field {
        Some(_) => format!("It {}.", error.without_field()),
        None => error.message.clone(),
    }
}

/// Of an endpoint of RDS.
fn region_in(host: &str) -> Option<String> {
    let labels: Vec<&str> = host.split('.').collect();
    let at = labels.iter().position(|label| *label == "rds")?;
    // In front of it; in China behind it, too.
    let region = match labels.get(at + 1) {
        Some(&"amazonaws") => labels.get(at.checked_sub(1)?)?,
        Some(region) if labels.get(at + 2) == Some(&"amazonaws") => region,
        _ => return None,
    };
    RegionName::new("region", region).is_ok().then(|| (*region).to_owned())
}

async fn ask(option: &str, question: &str, cancel: &Cancel) -> Result<String> {
    if !output::stdin_is_terminal() {
        return Err(
            Error::new(Code::BadUsage, format!("{option} is missing, and there is no terminal to ask at")).advise(
                "Give all of --database, --host, --user, --bucket, --public-key and, if --host does not say it, --database-region.",
            ),
        );
    }
    output::tell(&format!("{question}: "));
    output::flush();
    let (typed, answer) = oneshot::channel();
    // On a thread of its own: nothing wakes it but a line, and a signal must not wait for one.
    let read = move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line).map(|count| (count, line));
        drop(typed.send(read));
    };
    background::start("question", read).map_err(|error| Error::new(Code::Bug, format!("no thread: {error}")))?;
    let nobody = || {
        let error = Error::new(Code::BadUsage, format!("no answer was given to the question for {option}"));
        error.advise("`pgseal help init` lists the options that answer all questions.")
    };
    let answered = cancel.run_until_cancelled(async { answer.await.map_err(|_| nobody()) }).await;
    match answered.map_err(|error| error.or_advise("Nothing was written."))? {
        // The end of the input.
        Ok((0, _)) => Err(nobody()),
        Ok((_, line)) => Ok(line),
        Err(error) => Err(Error::new(Code::BadUsage, format!("no answer: {error}"))),
    }
}

fn sql(plan: &Plan) -> String {
    let user = identifier(&plan.source.user);
    let iam = match plan.source.auth {
        Auth::Iam { .. } => format!("GRANT rds_iam TO {user};\n"),
        Auth::Password(_) => String::new(),
    };
    // Asked for by psql, so that it stands nowhere.
    let password = match plan.source.auth {
        Auth::Iam { .. } => String::new(),
        Auth::Password(_) => format!("\n\\password {user}"),
    };
    format!("CREATE ROLE {user} LOGIN;\n{iam}GRANT pg_read_all_data TO {user};{password}")
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
        screen.line(format!(
            "The IAM policies of its writer and its readers: pgseal policy --event {}",
            self.event
        ));
        if let Some(check) = &self.check {
            screen.blank();
            screen.heading("What exists so far");
            check.draw(screen);
        }
        screen.blank();
        let is_ready = self.check.as_ref().is_none_or(|check| check.failure().is_none());
        let first = if is_ready {
            "Next:"
        } else {
            "Next: correct what has a ✗ here, then"
        };
        screen.line(first);
        if self.by_password {
            screen.verbatim("  export PGPASSWORD=…        (or PGPASSFILE, or `password_secret` in the event)");
        }
        screen.verbatim(&format!("  pgseal check --event {0}\n  pgseal backup --event {0}", self.event));
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
        assert_eq!(region_in("app.abc.rds.cn-north-1.amazonaws.com.cn").as_deref(), Some("cn-north-1"));
        assert_eq!(region_in("app.abc.cn-north-1.rds.amazonaws.com.cn").as_deref(), Some("cn-north-1"));
        for other in ["localhost", "rds.amazonaws.com", "orders.rds.amazonaws.com", "db.example.com", ""] {
            assert_eq!(region_in(other), None, "{other}");
        }
    }
}
