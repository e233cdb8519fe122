//! What an event asks of S3's storage arrives there: looked up at an independent server.

use crate::support::aws::Ministack;
use crate::support::fault_proxy::{FaultProxy, Operation};
use crate::support::invariants::{backup_stands, event};
use crate::support::pgseal::Pgseal;
use crate::support::postgres::Server;
use crate::support::s3::block_on;
use serde_json::json;

#[test]
fn the_storage_class_and_the_tags_are_on_the_objects() {
    let server = Server::start();
    // More than a part, so that the upload in parts carries them too.
    server.create_app("create table wide as select repeat('x', 1000) as x from generate_series(1, 20000)");
    let bucket = Ministack::shared().bucket();
    let mut event = event(&server, "app", &bucket);
    event["compression"] = json!("none");
    event["storage_class"] = json!("STANDARD_IA");
    event["tags"] = json!({"team": "data & base", "cost=centre": "ü 1+1"});
    let proxy = FaultProxy::before(&bucket, []);
    let receipt = Pgseal::backup(&event).envs(proxy.env()).envs(server.env()).run().complete();
    backup_stands(&bucket, &receipt);

    for object in receipt["backups"][0]["objects"].as_array().expect("a list of objects") {
        let (key, is_dump) = (object["key"].as_str().expect("a key"), object["role"] == "dump");
        let head = block_on(bucket.client().head_object().bucket(&bucket.name).key(key).send()).expect("the object");
        let class = head.storage_class().map_or("STANDARD", |class| class.as_str());
        // Only the dump is large; what stands beside it is read more often than S3's classes of rare use allow cheaply.
        assert_eq!(class, if is_dump { "STANDARD_IA" } else { "STANDARD" }, "{key}");
        if !is_dump {
            let tagging = block_on(bucket.client().get_object_tagging().bucket(&bucket.name).key(key).send()).expect("the tags");
            let mut tags: Vec<_> = tagging.tag_set().iter().map(|tag| (tag.key(), tag.value())).collect();
            tags.sort();
            assert_eq!(tags, [("cost=centre", "ü 1+1"), ("team", "data & base")], "{key}");
        }
    }
    // This server forgets the tags of an upload in parts: that they were sent, in the words that it understood above,
    // is read off the request.
    let seen = proxy.seen();
    let sent = |operation| {
        seen.iter()
            .find(|seen| seen.operation == operation)
            .and_then(|seen| seen.header("x-amz-tagging"))
    };
    assert!(sent(Operation::CreateUpload).is_some());
    assert_eq!(sent(Operation::CreateUpload), sent(Operation::PutObject));
}
