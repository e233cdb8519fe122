//! One JSON object a line: time, level, message and fields, with the identifiers of the event that is under way.

use super::MEMBERS;
use serde_json::{Map, Value};
use std::fmt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// CloudWatch Logs Insights finds `requestId` in the lines of the platform, too: only there, beside the others, can they be
/// joined. `tracing-subscriber` would put the fields of a span into an object of their own.
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Map::new();
        // No year has five digits.
        let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        line.insert("timestamp".to_owned(), now.into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        event.record(&mut Members(&mut line));
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>();
            let fields = fields.and_then(|fields| serde_json::from_str::<Map<String, Value>>(&fields.fields).ok());
            for (name, value) in fields.into_iter().flatten() {
                line.entry(name).or_insert(value);
            }
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Members<'a>(&'a mut Map<String, Value>);

impl Visit for Members<'_> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            MEMBERS => self.0.extend(serde_json::from_str::<Map<String, Value>>(&text).unwrap_or_default()),
            name => drop(self.0.insert(name.to_owned(), text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::format::JsonFields;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Lines of two events of one warm process could not be told apart, nor joined with what the platform says of them.
    #[test]
    fn each_line_names_the_request_that_it_is_of() {
        let written = Written::default();
        let writer = written.clone();
        let logs = tracing_subscriber::fmt()
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(logs.finish(), || {
            let _entered = tracing::error_span!("event", requestId = "r-1", xrayTraceId = "1-2").entered();
            tracing::warn!(bytes = 7, database = "app \"x\"\n", "two\nlines");
            tracing::info!(members = %r#"{"receipt":{"status":"complete"},"level":"none"}"#, "receipt");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        for line in &lines {
            assert_eq!((&line["requestId"], &line["xrayTraceId"]), (&"r-1".into(), &"1-2".into()), "{line}");
            assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        }
        assert_eq!((&lines[0]["level"], &lines[0]["bytes"]), (&"WARN".into(), &7.into()));
        assert_eq!(
            (&lines[0]["message"], &lines[0]["database"]),
            (&"two\nlines".into(), &"app \"x\"\n".into())
        );
        assert_eq!(lines[1]["receipt"]["status"], "complete");
    }
}
