//! `policy`: what IAM must allow for one event, and for who reads its backups. Nothing more is in it, and nothing is asked of
//! AWS.

use crate::plan::{Auth, DatabaseTarget, Encryption, PasswordSource, Plan, SigningKey};
use serde::Serialize;
use serde_json::{Value, json};

#[derive(Debug, Serialize)]
pub(crate) struct Policies {
    /// For the role of the function or task.
    pub writer: Value,
    /// For those who list, verify and restore.
    pub reader: Value,
    /// What `check` looks at, beside the writer's: no backup needs it.
    pub check: Value,
    /// What no event says.
    pub notes: Vec<String>,
}

/// Of `store::bucket_settings`.
const BUCKET_SETTINGS: &[&str] = &[
    "s3:GetBucketVersioning",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetEncryptionConfiguration",
    "s3:GetBucketPolicy",
];

pub(crate) fn policies(plan: &Plan) -> Policies {
    let mut notes = Vec::new();
    let places = Places::new(plan);
    Policies {
        writer: document(writer(plan, &places, &mut notes)),
        reader: document(reader(plan, &places)),
        check: document(vec![allow("LookAtTheBucket", BUCKET_SETTINGS, &places.bucket)]),
        notes,
    }
}

fn document(statements: Vec<Value>) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn allow(sid: &str, actions: &[&str], resource: impl Serialize) -> Value {
    let actions = match actions {
        [one] => json!(one),
        several => json!(several),
    };
    json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource})
}

/// Names of the bucket and what is in it.
struct Places {
    partition: &'static str,
    region: String,
    bucket: String,
    /// Everything under the prefix.
    objects: String,
    manifests: String,
}

impl Places {
    fn new(plan: &Plan) -> Self {
        let (name, region) = (plan.destination.bucket.name.as_str(), plan.destination.bucket.region.as_str());
        let partition = partition(region);
        let (bucket, inside) = match plan.destination.bucket.name.is_access_point() {
            true => (name.to_owned(), format!("{name}/object")),
            false => {
                let bucket = format!("arn:{partition}:s3:::{name}");
                (bucket.clone(), bucket)
            }
        };
        // Of every host that may come.
        let prefix = literal(plan.destination.prefix.as_str()).replace("{host}", "*");
        let folder = if prefix.is_empty() { inside } else { format!("{inside}/{prefix}") };
        Self {
            partition,
            region: region.to_owned(),
            bucket,
            objects: format!("{folder}/*"),
            manifests: format!("{folder}/*.manifest*.jsonl"),
        }
    }
}

/// A key's id stands for a key of any account: no event says which. IAM knows a key by its id alone: of an alias it is a
/// condition.
fn allow_key(sid: &str, actions: &[&str], key: &str, places: &Places) -> Value {
    let alias = key.find("alias/").map(|at| &key[at..]);
    let resource = match (key.starts_with("arn:"), alias) {
        (true, Some(alias)) => format!("{}key/*", key.strip_suffix(alias).unwrap_or(key)),
        (true, None) => key.to_owned(),
        (false, Some(_)) => format!("arn:{}:kms:{}:*:key/*", places.partition, places.region),
        (false, None) => format!("arn:{}:kms:{}:*:key/{key}", places.partition, places.region),
    };
    let mut statement = allow(sid, actions, resource);
    if let Some(alias) = alias {
        statement["Condition"] = json!({"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}});
    }
    statement
}

/// What an event holds stands for itself: IAM takes `*`, `?` and `$` for more.
fn literal(text: &str) -> String {
    let escaped = |letter: char| match letter {
        '*' | '?' | '$' => format!("${{{letter}}}"),
        letter => letter.to_string(),
    };
    text.chars().map(escaped).collect()
}

fn partition(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

fn writer(plan: &Plan, places: &Places, notes: &mut Vec<String>) -> Vec<Value> {
    let mut statements = Vec::new();
    match &plan.source.auth {
        Auth::Iam { region } => {
            let (region, user) = (region.as_str(), literal(&plan.source.user));
            statements.push(allow(
                "LogIn",
                &["rds-db:connect"],
                format!("arn:{}:rds-db:{region}:*:dbuser:*/{user}", partition(region)),
            ));
            notes.push(
                "In LogIn put your account's number for the first `*`, and the database's resource id (db-… or cluster-…) for the second: the event does not hold them."
                    .to_owned(),
            );
        }
        Auth::Password(PasswordSource::Secret(secret)) => {
            statements.push(allow("ReadThePassword", &["secretsmanager:GetSecretValue"], &secret.arn));
        }
        Auth::Password(_) => {}
    }
    if let DatabaseTarget::Instance(_) | DatabaseTarget::Discovered(_) = plan.source.target {
        statements.push(allow("FindTheServer", &["rds:DescribeDBInstances", "rds:DescribeDBClusters"], "*"));
    }
    let keeping = &plan.destination;
    let mut writes = vec!["s3:PutObject", "s3:AbortMultipartUpload"];
    writes.extend((keeping.tags.is_some() || keeping.retention.is_some()).then_some("s3:PutObjectTagging"));
    writes.extend(keeping.object_lock.as_ref().map(|_| "s3:PutObjectRetention"));
    writes.extend(keeping.acl.as_ref().map(|_| "s3:PutObjectAcl"));
    statements.push(allow("WriteBackups", &writes, &places.objects));
    statements.push(allow("SeeWhetherItIsDone", &["s3:GetObject"], &places.manifests));
    statements.push(allow(
        "FindTheBucket",
        &["s3:ListBucket", "s3:ListBucketMultipartUploads"],
        &places.bucket,
    ));
    match (&keeping.kms_key_id, keeping.encryption) {
        (Some(key), _) => statements.push(allow_key("EncryptInTheBucket", &["kms:GenerateDataKey", "kms:Decrypt"], key.as_str(), places)),
        (None, Some(Encryption::Kms | Encryption::KmsDsse)) => notes.push(
            "The bucket's own KMS key needs kms:GenerateDataKey and kms:Decrypt for the writer, kms:Decrypt for the reader: no event names it.".to_owned(),
        ),
        _ => {}
    }
    if let Some(SigningKey::Kms { key, .. }) = &plan.signing_key {
        statements.push(allow_key("Sign", &["kms:GetPublicKey", "kms:Sign"], key, places));
    }
    statements
}

fn reader(plan: &Plan, places: &Places) -> Vec<Value> {
    let mut statements = vec![
        allow("ReadBackups", &["s3:GetObject", "s3:GetObjectVersion"], &places.objects),
        allow("FindBackups", &["s3:ListBucket"], &places.bucket),
    ];
    if let Some(key) = &plan.destination.kms_key_id {
        statements.push(allow_key("OpenTheBucketsEncryption", &["kms:Decrypt"], key.as_str(), places));
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::plan::RuntimeLimits;
    use crate::variables::Env;
    use time::macros::datetime;

    fn of(event: Value) -> Policies {
        let place = RuntimeLimits {
            now: datetime!(2026-11-24 02:00 UTC),
            cpus: 2,
            memory: None,
        };
        let mut whole: Value = serde_json::from_str(include_str!("../events/accepted/minimal.json")).unwrap();
        for (name, value) in event.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let env = Env::from_iter([("TESTBED_KEYS", "allowed")]);
        policies(&Plan::resolve(&Event::parse(&whole.to_string()).unwrap(), &env, place).unwrap())
    }

    fn actions(policy: &Value) -> Vec<String> {
        let statements = policy["Statement"].as_array().unwrap().iter();
        let listed = |value: &Value| match value {
            Value::Array(several) => several.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
            one => vec![one.as_str().unwrap_or_default().to_owned()],
        };
        statements.flat_map(|statement| listed(&statement["Action"])).collect()
    }

    #[test]
    fn each_field_adds_what_it_needs_and_nothing_else() {
        let plain = actions(&of(json!({})).writer);
        assert_eq!(
            plain,
            [
                "rds-db:connect",
                "s3:PutObject",
                "s3:AbortMultipartUpload",
                "s3:GetObject",
                "s3:ListBucket",
                "s3:ListBucketMultipartUploads"
            ]
        );
        for (event, more) in [
            (json!({"tags": {"a": "b"}}), "s3:PutObjectTagging"),
            (json!({"object_lock": {"mode": "GOVERNANCE", "days": 1}}), "s3:PutObjectRetention"),
            (json!({"acl": "private"}), "s3:PutObjectAcl"),
            (json!({"kms_key_id": "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"}), "kms:GenerateDataKey"),
        ] {
            let asked = actions(&of(event.clone()).writer);
            assert!(
                asked.contains(&more.to_owned()) && !plain.contains(&more.to_owned()),
                "{event}: {asked:?}"
            );
        }
    }

    #[test]
    fn names_are_those_of_the_event() {
        let found = of(json!({"prefix": "backups/{host}", "region": "cn-north-1", "host": "app.abc.cn-north-1.rds.amazonaws.com.cn"}));
        let text = found.writer.to_string();
        for part in [
            "arn:aws-cn:rds-db:cn-north-1:*:dbuser:*/backup",
            "arn:aws-cn:s3:::acme-backups/backups/*/*",
            "arn:aws-cn:s3:::acme-backups/backups/*/*.manifest*.jsonl",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(actions(&found.reader), ["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"]);
    }

    #[test]
    fn an_alias_is_a_condition_and_names_are_no_patterns() {
        assert_eq!(literal("a*b?$c"), "a${*}b${?}${$}c");
        let places = Places {
            partition: "aws",
            region: "eu-west-1".to_owned(),
            bucket: String::new(),
            objects: String::new(),
            manifests: String::new(),
        };
        for (key, resource) in [
            ("alias/foo", "arn:aws:kms:eu-west-1:*:key/*"),
            (
                "arn:aws:kms:eu-west-1:111122223333:alias/foo",
                "arn:aws:kms:eu-west-1:111122223333:key/*",
            ),
        ] {
            let statement = allow_key("Sign", &["kms:Sign"], key, &places);
            assert_eq!(statement["Resource"], resource, "{statement}");
            assert_eq!(
                statement["Condition"]["ForAnyValue:StringEquals"]["kms:ResourceAliases"], "alias/foo",
                "{statement}"
            );
        }
        assert!(allow_key("Sign", &["kms:Sign"], "1234", &places)["Condition"].is_null());
    }
}
