//! Each call of a backup to S3, broken in each way.

use super::{Cause, Point, Promise, WHOLE, fails};
use crate::support::fault_proxy::{Canned, Fault, Operation, Rule};
use std::time::Duration;

/// One call of a run, as a rule finds it, and what it is to a run that this call is refused.
pub struct Call {
    pub name: &'static str,
    operation: Operation,
    key: &'static str,
    skip: usize,
    has_body: bool,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Looks only: a role that may not look can back up all the same.
    Looks,
    Writes,
    /// A part, or their end.
    Uploads,
    Commits,
    /// After the commit.
    Explains,
}

const fn call(name: &'static str, operation: Operation, key: &'static str, skip: usize, has_body: bool, role: Role) -> Call {
    Call {
        name,
        operation,
        key,
        skip,
        has_body,
        role,
    }
}

/// In the order of a run.
pub const CALLS: [Call; 11] = [
    call("HeadBucket", Operation::HeadBucket, "", 0, false, Role::Looks),
    call("the first look for the manifest", Operation::ListObjects, "", 0, false, Role::Looks),
    call("PutObject of the key", Operation::PutObject, ".key.", 0, true, Role::Writes),
    call("CreateMultipartUpload", Operation::CreateUpload, "", 0, false, Role::Writes),
    call("UploadPart of the first part", Operation::UploadPart, "", 0, true, Role::Uploads),
    call(
        "PutObject of the inventory",
        Operation::PutObject,
        ".inventory.",
        0,
        true,
        Role::Writes,
    ),
    call("the last look for the manifest", Operation::ListObjects, "", 1, false, Role::Looks),
    call("UploadPart of the last part", Operation::UploadPart, "", 1, true, Role::Uploads),
    call("CompleteMultipartUpload", Operation::CompleteUpload, "", 0, true, Role::Uploads),
    call(
        "PutObject of the manifest",
        Operation::PutObject,
        ".manifest.jsonl",
        0,
        true,
        Role::Commits,
    ),
    call(
        "PutObject of the recovery instructions",
        Operation::PutObject,
        ".RECOVER.md",
        0,
        true,
        Role::Explains,
    ),
];

impl Call {
    pub fn rule(&self) -> Rule {
        Rule::on(self.operation).key(self.key).after(self.skip)
    }

    fn once(&self, fault: Fault) -> Cause {
        Cause::S3(vec![self.rule().times(1).then(fault)])
    }

    fn always(&self, fault: Fault) -> Cause {
        Cause::S3(vec![self.rule().then(fault)])
    }

    /// What it comes to when this call cannot be made, for which S3 gives this reason.
    fn failed(&self, code: &'static str) -> Promise {
        match self.role {
            Role::Commits => Promise::FailsLate { code: "commit_failed" },
            Role::Explains => Promise::Complete {
                warned: "the recovery instructions",
            },
            Role::Looks | Role::Writes | Role::Uploads => fails(code),
        }
    }

    fn denied(&self) -> Promise {
        match self.role {
            Role::Looks => WHOLE,
            Role::Writes | Role::Uploads => Promise::Fails {
                code: "s3_denied",
                says: "s3:PutObject",
            },
            Role::Commits | Role::Explains => self.failed("s3_denied"),
        }
    }
}

fn conflict() -> Canned {
    Canned::error(409, "ConditionalRequestConflict")
}

fn html() -> Canned {
    Canned::new(200, "<html><body>It works!</body></html>").header("Content-Type", "text/html")
}

pub fn points() -> Vec<Point> {
    let mut points = Vec::new();
    // Those first that wait longest.
    for call in &CALLS {
        let mut add = |what: &str, cause, promise| points.push(Point::new(format!("{what}: {}", call.name), cause, promise));
        // S3 has five minutes to assemble an object: too long to be waited for here.
        if call.operation != Operation::CompleteUpload {
            add("silence", call.once(Fault::Silence), WHOLE);
        }
        add(
            "503 for ever",
            call.always(Fault::Answer(Canned::slow_down())),
            call.failed("s3_unavailable"),
        );
        // Tried again for a minute.
        let conflicts = || call.always(Fault::Answer(conflict()));
        match (call.operation, call.role) {
            (Operation::CompleteUpload, _) => add("409 for ever", conflicts(), fails("s3_upload_gone")),
            (Operation::PutObject, _) => add("409 for ever", conflicts(), call.failed("s3_unavailable")),
            (_, Role::Looks) => add("409 for ever", conflicts(), fails("s3_unavailable")),
            _ => {}
        }
    }
    for call in &CALLS {
        let mut add = |what: &str, cause, promise| points.push(Point::new(format!("{what}: {}", call.name), cause, promise));
        add("cut before it is sent", call.once(Fault::CutBefore), WHOLE);
        add("answer lost", call.once(Fault::LoseAnswer), WHOLE);
        add("answer cut", call.once(Fault::CutAnswer { missing: 40 }), WHOLE);
        add("slow", call.once(Fault::Slow(Duration::from_secs(2))), WHOLE);
        // A second upload that nobody asked for is nobody's to end: it is left to the bucket's lifecycle rule.
        if call.operation != Operation::CreateUpload {
            add("delivered twice", call.once(Fault::Twice), WHOLE);
        }
        for (status, code) in [
            (500, "InternalError"),
            (502, "BadGateway"),
            (503, "SlowDown"),
            (504, "GatewayTimeout"),
        ] {
            add(
                &format!("{status} twice"),
                Cause::S3(vec![call.rule().times(2).then(Fault::Answer(Canned::error(status, code)))]),
                WHOLE,
            );
        }
        add("403", call.always(Fault::Answer(Canned::error(403, "AccessDenied"))), call.denied());
        let redirect = Canned::error(301, "PermanentRedirect").header("x-amz-bucket-region", "ap-south-2");
        add("301", call.always(Fault::Answer(redirect)), call.failed("s3_wrong_region"));
        add(
            "expired token",
            call.always(Fault::Answer(Canned::error(403, "ExpiredToken"))),
            call.denied(),
        );
        if call.has_body {
            add("reset in mid-body", call.once(Fault::ResetInBody(100)), WHOLE);
            add(
                "checksum refused once",
                call.once(Fault::Answer(Canned::error(400, "BadDigest"))),
                WHOLE,
            );
            let refused = call.always(Fault::Answer(Canned::error(400, "BadDigest")));
            add("checksum refused for ever", refused, call.failed("s3_integrity"));
        }
        for (status, code) in [(409, "OperationAborted"), (412, "PreconditionFailed")] {
            let fault = Fault::Answer(Canned::error(status, code));
            add(&format!("{status} {code} once, and no object"), call.once(fault), WHOLE);
        }
        let exists = call.always(Fault::Answer(Canned::error(412, "PreconditionFailed")));
        add("412 for ever, and no object", exists, call.failed("s3_unavailable"));
        for (status, code) in [(400, "ExpiredToken"), (403, "ExpiredToken"), (403, "RequestTimeTooSkewed")] {
            let fault = Fault::Answer(Canned::error(status, code));
            add(&format!("{status} {code} once"), call.once(fault), WHOLE);
        }
        if call.role != Role::Looks {
            add("409 once", call.once(Fault::Answer(conflict())), WHOLE);
            // Of a part and of a new upload it says nothing: those are made again.
            add("409, though it was carried out", call.once(Fault::ReplaceAnswer(conflict())), WHOLE);
            let unknown = call.always(Fault::Answer(Canned::error(501, "NotImplemented")));
            add("501", unknown, call.failed("s3_unsupported"));
            // In S3's place somebody says yes to everything.
            add("HTML in a 200 once", call.once(Fault::Answer(html())), WHOLE);
            for status in [200, 204] {
                let empty = Fault::Answer(Canned::new(status, ""));
                add(&format!("an empty {status} once"), call.once(empty), WHOLE);
            }
            add(
                "HTML in a 200 for ever",
                call.always(Fault::Answer(html())),
                call.failed("s3_unavailable"),
            );
            add(
                "no such bucket",
                call.always(Fault::Answer(Canned::error(404, "NoSuchBucket"))),
                call.failed("s3_no_bucket"),
            );
        }
        if call.role == Role::Uploads {
            add(
                "no such upload",
                call.always(Fault::Answer(Canned::error(404, "NoSuchUpload"))),
                fails("s3_upload_gone"),
            );
        }
    }
    points.extend(others());
    points
}

/// Where two faults meet, or one has a rule of its own.
fn others() -> Vec<Point> {
    let denied = || Fault::Answer(Canned::error(403, "AccessDenied"));
    let complete = || Rule::on(Operation::CompleteUpload);
    let no_look = || Rule::on(Operation::HeadObject).key(".sql.").then(denied());
    let no_list = || Rule::on(Operation::ListObjects).then(denied());
    let look_away = Rule::on(Operation::HeadBucket).then(Fault::Answer(Canned::new(404, "")));
    vec![
        // It was once `commit_failed`, with the advice to delete the objects of a backup that stood.
        Point::new(
            "every answer to the manifest lost, and no right to look",
            Cause::S3(vec![
                Rule::on(Operation::PutObject).key(".manifest.jsonl").then(Fault::LoseAnswer),
                Rule::on(Operation::GetObject).then(denied()),
                Rule::on(Operation::ListObjects).then(denied()),
            ]),
            Promise::Unknown { code: "commit_unknown" },
        ),
        // The listing tells its MD5: it is our own.
        Point::new(
            "every answer to the manifest lost, and only a listing to look at",
            Cause::S3(vec![
                Rule::on(Operation::PutObject).key(".manifest.jsonl").then(Fault::LoseAnswer),
                Rule::on(Operation::GetObject).then(denied()),
            ]),
            WHOLE,
        ),
        Point::new("no such bucket: HeadBucket", Cause::S3(vec![look_away]), fails("s3_no_bucket")),
        Point::new(
            "HTML in a 200 for ever: the first look for the manifest",
            Cause::S3(vec![Rule::on(Operation::ListObjects).then(Fault::Answer(html()))]),
            fails("s3_unavailable"),
        ),
        // The policy of README.md: it was once `commit_unknown`, and a whole dump for nothing.
        Point::new(
            "answer of Complete lost, and the right to list alone",
            Cause::S3(vec![complete().times(1).then(Fault::LoseAnswer), no_look()]),
            WHOLE,
        ),
        Point::new(
            "answer of Complete lost, and no right to look",
            Cause::S3(vec![complete().times(1).then(Fault::LoseAnswer), no_look(), no_list()]),
            Promise::FailsLate { code: "commit_unknown" },
        ),
        Point::new(
            "answer of Complete lost, then 409 for ever",
            Cause::S3(vec![
                complete().times(1).then(Fault::LoseAnswer),
                complete().then(Fault::Answer(conflict())),
            ]),
            WHOLE,
        ),
        Point::new(
            "409 of Complete, then no such upload",
            Cause::S3(vec![
                complete().times(1).then(Fault::Answer(conflict())),
                complete().then(Fault::Answer(Canned::error(404, "NoSuchUpload"))),
            ]),
            fails("s3_upload_gone"),
        ),
        Point::new(
            "answer of Complete lost, then refused",
            Cause::S3(vec![complete().times(1).then(Fault::LoseAnswer), complete().then(denied())]),
            WHOLE,
        ),
        Point::new(
            "an error in the 200 of Complete",
            Cause::S3(vec![
                complete()
                    .times(1)
                    .then(Fault::Answer(Canned::new(200, Canned::error(200, "InternalError").body))),
            ]),
            WHOLE,
        ),
        Point::new(
            "Complete carried out, and HTML answered",
            Cause::S3(vec![complete().times(1).then(Fault::ReplaceAnswer(html()))]),
            WHOLE,
        ),
        // What is kept for writes was said of a look.
        Point::new(
            "501: HeadBucket",
            Cause::S3(vec![Rule::on(Operation::HeadBucket).then(Fault::Answer(Canned::new(501, "")))]),
            fails("s3_unavailable"),
        ),
        Point::new(
            "501: the first look for the manifest",
            Cause::S3(vec![
                Rule::on(Operation::ListObjects).then(Fault::Answer(Canned::error(501, "NotImplemented"))),
            ]),
            fails("s3_unavailable"),
        ),
        // No right would help.
        Point::new(
            "a part is not as it was sent: CompleteMultipartUpload",
            Cause::S3(vec![complete().then(Fault::Answer(Canned::error(400, "InvalidPart")))]),
            fails("s3_integrity"),
        ),
        Point::new(
            "too large: UploadPart of the first part",
            Cause::S3(vec![
                Rule::on(Operation::UploadPart).then(Fault::Answer(Canned::error(400, "EntityTooLarge"))),
            ]),
            Promise::Fails {
                code: "s3_unavailable",
                says: "limit on the size",
            },
        ),
        Point::new(
            "the clock is wrong",
            Cause::S3(vec![Rule::any().then(Fault::Answer(Canned::error(403, "RequestTimeTooSkewed")))]),
            fails("s3_denied"),
        ),
        Point::new(
            "nobody answers at all",
            Cause::S3(vec![Rule::any().then(Fault::CutBefore)]),
            fails("s3_unavailable"),
        ),
    ]
}
