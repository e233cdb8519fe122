//! Logs on stderr: JSON lines for machines, plain lines for a person at a terminal.

mod json_lines;

use super::output::{VisibleStderr, set_terminal, stderr_is_terminal};
use crate::variables::Env;
use crate::variables::LEVELS;
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use json_lines::JsonLines;
use std::fmt;
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, JsonFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// The target of lines whose content is in the answer too: a person at a terminal, who sees both, is not told twice.
pub(crate) const ANSWER: &str = "pgseal::answer";

/// The target of lines that are for programs alone: receipts and metrics. Alarms rest on them, so that no level leaves them out.
macro_rules! record {
    ($members:expr $(, $message:literal)?) => {
        tracing::info!(target: "pgseal::record", members = %$members $(, $message)?)
    };
}
pub(crate) use record;

/// A field whose text is a JSON object: its members become those of the line.
const MEMBERS: &str = "members";

/// Starts logging; `person`: the answer goes to somebody at a terminal; `asked`: a level that goes before all. On Lambda its own
/// settings count (`AWS_LAMBDA_LOG_FORMAT`, `AWS_LAMBDA_LOG_LEVEL`); elsewhere `PGSEAL_LOG` names the level.
///
/// The libraries below never log more than warnings, whatever is asked: at their debug levels they print requests.
pub fn start(env: &Env, person: bool, asked: Option<&str>) {
    // Who wants errors alone wants no bar.
    set_terminal(env.get("TERM").filter(|_| asked != Some("error")));
    let level = asked
        .filter(|_| !env.is_pinned("PGSEAL_LOG"))
        .or(env.get("PGSEAL_LOG"))
        .or(env.get("AWS_LAMBDA_LOG_LEVEL"))
        .map(|level| level.trim().to_ascii_lowercase());
    let level = match level.as_deref() {
        Some("fatal") => "error",
        // Another one in `PGSEAL_LOG` is refused as soon as anything can be said.
        level => level.filter(|level| LEVELS.contains(level)).unwrap_or("info"),
    };
    let libraries = if level == "error" { "error" } else { "warn" };
    // Both names come from the closed lists above.
    let twice = if person { format!(",{ANSWER}=off") } else { String::new() };
    // What its chain of providers tried in vain is told by the error, in words.
    let plain = match env.get("AWS_LAMBDA_LOG_FORMAT") {
        Some(format) => !format.eq_ignore_ascii_case("json"),
        None => stderr_is_terminal(),
    };
    let records = if plain || asked == Some("error") { "off" } else { "info" };
    let filter = EnvFilter::new(format!(
        "{libraries},aws_config=error,pgseal={level},pgseal::record={records}{twice}"
    ));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| VisibleStderr)
        .log_internal_errors(false)
        .with_target(false);
    // A second start, as in tests, changes nothing.
    let _ = if plain && person {
        logs.event_format(ForPeople).try_init()
    } else if plain {
        logs.with_ansi(false).try_init()
    } else {
        logs.fmt_fields(JsonFields::new()).event_format(JsonLines).try_init()
    };
}

/// `warning: message (name: value)`, without a time: somebody watches.
struct ForPeople;

impl<S, N> FormatEvent<S, N> for ForPeople
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Line::default();
        event.record(&mut line);
        writer.write_str(match *event.metadata().level() {
            Level::ERROR => "error: ",
            Level::WARN => "warning: ",
            _ => "",
        })?;
        let fields = line.fields.join(", ");
        match fields.is_empty() {
            true => writeln!(writer, "{}", line.message),
            false => writeln!(writer, "{} ({fields})", line.message),
        }
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: Vec<String>,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let name = field.name().replace('_', " ");
        self.fields.push(match (name.strip_suffix("bytes"), name.strip_suffix(" seconds")) {
            (Some(of), _) => format!("{of}size: {}", HumanBytes(value)),
            (_, Some(of)) => format!("{of} time: {}", HumanDuration(Duration::from_secs(value))),
            (None, None) => format!("{name}: {}", HumanCount(value)),
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.fields.push(format!("{}: {value:?}", name.replace('_', " "))),
        }
    }
}
