"""Between the program and a service: each call is passed on, and kept as what IAM would be asked."""

import http.client
import http.server
import threading
import urllib.parse

# Of S3, by the method and what stands behind the `?`: the action, and whether it is about the bucket itself.
S3 = [
    ("PUT", {"tagging"}, "s3:PutObjectTagging"), ("PUT", set(), "s3:PutObject"), ("POST", {"uploads"}, "s3:PutObject"),
    ("POST", {"uploadId"}, "s3:PutObject"), ("DELETE", {"uploadId"}, "s3:AbortMultipartUpload"), ("DELETE", set(), "s3:DeleteObject"),
    ("HEAD", set(), "s3:GetObject"), ("GET", {"list-type"}, "s3:ListBucket"), ("GET", {"uploads"}, "s3:ListBucketMultipartUploads"),
    ("GET", {"versioning"}, "s3:GetBucketVersioning"), ("GET", {"object-lock"}, "s3:GetBucketObjectLockConfiguration"),
    ("GET", {"lifecycle"}, "s3:GetLifecycleConfiguration"), ("GET", {"encryption"}, "s3:GetEncryptionConfiguration"),
    ("GET", {"policy"}, "s3:GetBucketPolicy"), ("GET", set(), "s3:GetObject"),
]


def asked(method, path, headers, body):
    """The action and its resource, without the ARN's beginning; and what conditions look at."""
    target = headers.get("X-Amz-Target")
    if target:
        service, action = target.rsplit(".", 1)
        service = {"AWSStepFunctions": "states", "AmazonSSM": "ssm", "secretsmanager": "secretsmanager", "TrentService": "kms"}[service]
        return f"{service}:{action}", "", {}
    form = urllib.parse.parse_qs(body.decode("utf-8", "replace")) if b"Action=" in body else {}
    if form:
        service = {"2014-10-31": "rds", "2011-06-15": "sts"}[form["Version"][0]]
        return f"{service}:{form['Action'][0]}", "", {}
    place, _, query = path.partition("?")
    names = set(urllib.parse.parse_qs(query, keep_blank_values=True))
    if "/" not in place.strip("/") and method == "HEAD":
        return "s3:ListBucket", place.strip("/"), {}
    action = next(action for known, needed, action in S3 if known == method and needed <= names)
    context = {"s3:ObjectCreationOperation": "false"} if names & {"partNumber", "uploads"} else {"s3:ObjectCreationOperation": "true"}
    if "If-None-Match" in headers:
        context["s3:if-none-match"] = headers["If-None-Match"]
    return action, urllib.parse.unquote(place.strip("/")), context if action == "s3:PutObject" else {}


class Recorder:
    """In front of one address. `calls`: what was asked; `told`: bodies of calls to Step Functions, in order."""

    def __init__(self, upstream, host="127.0.0.1"):
        self.calls, self.told = [], []
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                recorder.calls.append(asked(self.command, self.path, self.headers, body))
                recorder.told.append((self.headers.get("X-Amz-Target", "").rsplit(".", 1)[-1], body))
                parts = urllib.parse.urlsplit(upstream)
                connection = http.client.HTTPConnection(parts.hostname, parts.port)
                # The host stays as it was signed.
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    connection.putheader(name, value)
                connection.endheaders(body)
                answer = connection.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((host, 0), Handler)
        self.endpoint = f"http://{host}:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
