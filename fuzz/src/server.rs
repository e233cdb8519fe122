//! S3 as the fuzzer imagines it: answers to the SDK's requests, in the same process.

use crate::Input;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame};
use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

const STATUS: &[u16] = &[500, 200, 200, 200, 206, 204, 301, 307, 400, 401, 403, 404, 409, 412, 429, 503];

/// What a request wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Create,
    Part,
    Complete,
    Abort,
    Put,
    Get,
    Head,
    HeadBucket,
}

/// What it was told.
#[derive(Clone, Debug)]
pub struct Answer {
    pub kind: Kind,
    /// The number of the part, where it is one.
    pub part: Option<u32>,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The connection is lost behind the body.
    pub breaks: bool,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn is_whole(&self) -> bool {
        self.is_success() && !self.breaks
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn names_etag(&self) -> bool {
        self.header("etag").is_some()
    }

    pub fn says(&self, text: &str) -> bool {
        text.is_empty() || self.body.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

#[derive(Debug, Default)]
struct State {
    script: Vec<u8>,
    read: usize,
    size: usize,
    checksum: String,
    log: Vec<Answer>,
}

/// Clones are the same server.
#[derive(Clone, Debug, Default)]
pub struct Server(Arc<Mutex<State>>);

impl Server {
    pub fn client(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_, _| connector.clone())
    }

    /// Begins anew, with these answers; `size` and `checksum` are those of an object that has been stored well.
    pub fn answer_with(&self, script: &[u8], size: usize, checksum: &str) {
        *self.state() = State {
            script: script.to_vec(),
            size,
            checksum: checksum.to_owned(),
            ..State::default()
        };
    }

    pub fn log(&self) -> Vec<Answer> {
        self.state().log.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn next(&mut self, kind: Kind, part: Option<u32>) -> Answer {
        let mut input = Input::new(&self.script[self.read..]);
        let (status, flags, shape) = (input.byte(), input.byte(), input.byte());
        let text = input.until(0);
        let shown = String::from_utf8_lossy(text);
        let mut headers = Vec::new();
        let mut header = |bit: u8, name: &str, value: String| {
            if flags >> bit & 1 == 1 {
                headers.push((name.to_owned(), value));
            }
        };
        header(0, "etag", "\"d41d8cd98f00b204e9800998ecf8427e\"".into());
        header(1, "x-amz-checksum-sha256", self.checksum.clone());
        header(2, "content-length", self.size.to_string());
        header(3, "x-amz-bucket-region", shown.chars().take(20).collect());
        // Any one more, which may contradict those above.
        let (name, value) = shown
            .split_once('\n')
            .and_then(|(line, _)| line.split_once(": "))
            .unwrap_or_default();
        if flags >> 4 & 1 == 1 && headers.iter().all(|(known, _)| known != name) {
            headers.push((name.to_owned(), value.to_owned()));
        }
        let body = match shape % 5 {
            0 => text.to_vec(),
            1 => format!("<InitiateMultipartUploadResult><UploadId>{shown}</UploadId></InitiateMultipartUploadResult>").into_bytes(),
            2 => format!("<CompleteMultipartUploadResult><ETag>{shown}</ETag></CompleteMultipartUploadResult>").into_bytes(),
            3 => format!("<Error><Code>{shown}</Code><Message>no</Message></Error>").into_bytes(),
            _ => format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n  {shown}").into_bytes(),
        };
        self.read = self.script.len() - input.rest().len();
        let answer = Answer {
            kind,
            part,
            status: STATUS.get(usize::from(status)).copied().unwrap_or(100 + 2 * u16::from(status)),
            headers,
            body,
            breaks: flags >> 7 & 1 == 1,
        };
        self.log.push(answer.clone());
        answer
    }
}

impl HttpConnector for Server {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (kind, part) = wanted(&request);
        let mut answer = self.state().next(kind, part);
        let status = StatusCode::try_from(answer.status).expect("a status");
        let body = std::mem::take(&mut answer.body);
        let body = match (kind, answer.breaks) {
            (Kind::Head | Kind::HeadBucket, _) => SdkBody::empty(),
            (_, false) => SdkBody::from(body),
            (_, true) => SdkBody::from_body_1_x(Broken(Some(body.into()))),
        };
        let mut response = HttpResponse::new(status, body);
        for (name, value) in answer.headers {
            // What is no header does not come over HTTP.
            if response.headers_mut().try_insert(name.clone(), value).is_err() {
                self.forget(&name);
            }
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl Server {
    fn forget(&self, name: &str) {
        if let Some(last) = self.state().log.last_mut() {
            last.headers.retain(|(known, _)| known != name);
        }
    }
}

fn wanted(request: &HttpRequest) -> (Kind, Option<u32>) {
    let (path, query) = request.uri().split_once('?').unwrap_or((request.uri(), ""));
    let value = |name: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
    };
    let part = value("partNumber").and_then(|(_, number)| number.parse().ok());
    let kind = match request.method() {
        "POST" if value("uploadId").is_some() => Kind::Complete,
        "POST" => Kind::Create,
        "PUT" if part.is_some() => Kind::Part,
        "PUT" => Kind::Put,
        "DELETE" => Kind::Abort,
        "HEAD" if !path.contains("backups") => Kind::HeadBucket,
        "HEAD" => Kind::Head,
        _ => Kind::Get,
    };
    (kind, part)
}

/// A body that ends with a lost connection.
struct Broken(Option<Bytes>);

impl Body for Broken {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(Some(match self.0.take() {
            Some(bytes) => Ok(Frame::data(bytes)),
            None => Err(Error::from(ErrorKind::ConnectionReset)),
        }))
    }
}
