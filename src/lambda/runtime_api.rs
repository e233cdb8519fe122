//! The runtime API of Lambda, as far as it hands over one event after the other and takes their answers:
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.
//!
//! Of the headers only those are read that an answer needs. The others, such as the client context, are whatever the invoker
//! put there: AWS's own runtime ends the process at one that it cannot read, and the event is never answered.

use super::LambdaError;
use crate::error::{Code, Error, Result};
use crate::format::ToJson;
use bytes::{Bytes, BytesMut};
use lambda_runtime_api_client::body::Body;
use lambda_runtime_api_client::{PooledClient, build_request};
use std::io;
use std::pin::pin;
use std::time::{Duration, SystemTime};

const INVOCATION: &str = "/2018-06-01/runtime/invocation";
const REQUEST_ID: &str = "Lambda-Runtime-Aws-Request-Id";
const DEADLINE: &str = "Lambda-Runtime-Deadline-Ms";
/// Handed back with the answer, where there is one.
const INVOCATION_ID: &str = "Lambda-Runtime-Invocation-Id";
const ERROR_TYPE: &str = "Lambda-Runtime-Function-Error-Type";

/// For an answer of at most 6 MB to a neighbour on the same machine.
const HAND_OVER: Duration = Duration::from_secs(60);

/// The platform's side.
pub(super) struct RuntimeApi(PooledClient);

/// One event, which must be answered.
pub(super) struct Invocation {
    pub request_id: String,
    /// Absent where the platform tells none that can be read: emulators differ.
    pub deadline: Option<SystemTime>,
    pub body: Bytes,
    /// The X-Ray trace that it belongs to, for the log.
    pub trace_id: String,
    invocation_id: Option<String>,
}

/// A call that came to nothing.
#[derive(Debug)]
pub(super) struct CallFailure {
    pub error: Error,
    /// Nobody listens any more: the platform has taken its side away.
    pub is_gone: bool,
}

impl From<Error> for CallFailure {
    fn from(error: Error) -> Self {
        Self { error, is_gone: false }
    }
}

impl RuntimeApi {
    /// `address`: host and port.
    pub(super) fn at(address: &str) -> Result<Self> {
        // Only so are its parts known to be there, which the client takes for granted.
        let address = format!("http://{}", address.trim_start_matches("http://").trim_end_matches('/'));
        let address = address
            .parse()
            .map_err(|error| Error::field(Code::BadEvent, "AWS_LAMBDA_RUNTIME_API", format!("is no host and port: {error}")))?;
        Ok(Self(PooledClient::builder().with_endpoint(address).build()))
    }

    /// Waits for an event, for as long as it takes.
    pub(super) async fn next(&self) -> Result<Invocation, CallFailure> {
        let what = "the Lambda runtime API gave no event";
        let request = build_request().uri(format!("{INVOCATION}/next")).body(Body::empty());
        let answer = self.0.call(request.map_err(|error| failed(what, &error))?).await;
        let answer = answer.map_err(|error| failed(what, &*error))?;
        let (head, body) = answer.into_parts();
        // Anyone who began to answer was there: half an event is no end.
        let body = whole(body).await.map_err(|error| failed(what, &error).error)?;
        if !head.status.is_success() {
            return Err(Error::new(Code::AwsFailed, format!("{what}: it answered {}", head.status)).into());
        }
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let Some(request_id) = header(REQUEST_ID) else {
            let told = format!("the Lambda runtime API gave an event without the header {REQUEST_ID}: it cannot be answered");
            return Err(Error::new(Code::AwsFailed, told).into());
        };
        let deadline = header(DEADLINE)
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_millis);
        Ok(Invocation {
            request_id,
            deadline: deadline.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)),
            body,
            trace_id: header("Lambda-Runtime-Trace-Id").unwrap_or_default(),
            invocation_id: header(INVOCATION_ID),
        })
    }

    /// Hands the answer over. One that is refused, such as too long a one, is the platform's to tell, and the next event is
    /// answered all the same. By 500 the platform says that it cannot go on: then nothing of ours should.
    pub(super) async fn answer(&self, invocation: &Invocation, answer: Result<String, LambdaError>) -> Result<()> {
        let what = "the Lambda runtime API took no answer";
        let (kind, body) = match answer {
            Ok(receipt) => ("response", receipt),
            Err(failure) => ("error", failure.to_json()),
        };
        let mut request = build_request()
            .method("POST")
            .uri(format!("{INVOCATION}/{}/{kind}", invocation.request_id))
            .header("Content-Type", "application/json");
        if kind == "error" {
            request = request.header(ERROR_TYPE, "unhandled");
        }
        if let Some(id) = &invocation.invocation_id {
            request = request.header(INVOCATION_ID, id);
        }
        let request = request.body(Body::from(body)).map_err(|error| failed(what, &error).error)?;
        let posting = async {
            let answer = self.0.call(request).await.map_err(|error| failed(what, &*error).error)?;
            let status = answer.status();
            Ok::<_, Error>((status, whole(answer.into_body()).await.unwrap_or_default()))
        };
        let silent = |_| Error::new(Code::AwsFailed, format!("{what}: it said nothing for {} s", HAND_OVER.as_secs()));
        let (status, told) = tokio::time::timeout(HAND_OVER, posting).await.map_err(silent)??;
        let refusal = || format!("{what}: {status}: {}", String::from_utf8_lossy(&told));
        if status.is_server_error() {
            return Err(Error::new(Code::AwsFailed, refusal()));
        }
        if !status.is_success() {
            tracing::error!(code = Code::AwsFailed.name(), "{}", refusal());
        }
        Ok(())
    }
}

async fn whole<B: http_body::Body<Data = Bytes>>(body: B) -> Result<Bytes, B::Error> {
    let mut body = pin!(body);
    let mut bytes = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

fn failed(what: &str, error: &(dyn std::error::Error + 'static)) -> CallFailure {
    let (mut said, mut is_gone) = (String::new(), false);
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        is_gone |= cause.downcast_ref::<io::Error>().is_some_and(|error| is_closed(error.kind())) || text.contains("connection closed");
        said = format!("{said}: {text}");
        next = cause.source();
    }
    CallFailure {
        error: Error::new(Code::AwsFailed, format!("{what}{said}")),
        is_gone,
    }
}

fn is_closed(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof};
    matches!(
        kind,
        BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | UnexpectedEof
    )
}
