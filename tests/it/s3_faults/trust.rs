//! Which authorities an endpoint of AWS is trusted by.

use crate::support::invariants::{backup_stands, event};
use crate::support::pgseal::Pgseal;
use crate::support::postgres::Server;
use crate::support::s3::EmbeddedS3;
use crate::support::tls_front::TlsFront;

/// The AWS CLI of the legacy image honours it; the SDK does not, and it ended as a network that is down.
#[test]
fn the_bundle_of_aws_ca_bundle_is_trusted() {
    let server = Server::start();
    server.create_app("create table wide as select i, repeat('x', 1000) as x from generate_series(1, 9000) as i");
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let front = TlsFront::before(&bucket);
    let event = event(&server, "app", &bucket);
    let run = |bundle: std::path::PathBuf| {
        let run = Pgseal::backup(&event).envs(bucket.env()).envs(server.env());
        run.env("AWS_ENDPOINT_URL_S3", front.endpoint.as_str())
            .env("AWS_CA_BUNDLE", bundle)
            .run()
    };
    let receipt = run(front.bundle()).complete();
    backup_stands(&bucket, &receipt);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").expect("a file");
    for unusable in [folder.path().join("missing.pem"), empty] {
        let said = run(unusable);
        said.failed("bad_event", 2);
        assert!(said.stdout.contains("AWS_CA_BUNDLE"), "{}", said.stdout);
    }
}
