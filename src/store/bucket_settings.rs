//! What a bucket does for the backups in it, as far as the role may look: a backup needs none of these rights.

use super::S3;
use crate::aws::ServiceError;
use aws_sdk_s3::types::{BucketVersioningStatus, ExpirationStatus, LifecycleRule, ObjectLockEnabled};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde_json::{Value, json};

/// What reasons of missing rights begin with.
pub(crate) const MAY_NOT: &str = "the role may not call";

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BucketSetting {
    Good(Value),
    /// Why backups are worth less so.
    Lacking(String),
    /// Why it cannot be told.
    NotSeen(String),
}

/// What lifecycle rules are held against.
pub(crate) struct ExpectedRules<'a> {
    /// What every key begins with.
    pub prefix: &'a str,
    /// The classes that these backups may have, and after how many days the manifests of each are to go.
    pub retention: Vec<(&'static str, u32)>,
}

const OVERWRITES: &str =
    "the bucket's policy lets anyone who may write there overwrite a backup: add the statements of deploy/bucket-policy.json";

impl S3 {
    /// By name, in the order in which they are told.
    pub(crate) async fn bucket_settings(&self, rules: &ExpectedRules<'_>) -> [(&'static str, BucketSetting); 5] {
        let (versioning, lock, lifecycle, encryption, policy) = tokio::join!(
            self.versioning(),
            self.lock(),
            self.lifecycle(rules),
            self.default_encryption(),
            self.policy(rules.prefix)
        );
        [
            ("bucket_versioning", versioning),
            ("bucket_lock", lock),
            ("bucket_lifecycle", lifecycle),
            ("bucket_encryption", encryption),
            ("bucket_policy", policy),
        ]
    }

    fn bucket_name(&self) -> &str {
        self.destination.bucket.name.as_str()
    }

    async fn versioning(&self) -> BucketSetting {
        let lacking = "versioning is off: what somebody deletes or overwrites is gone";
        match self.client.get_bucket_versioning().bucket(self.bucket_name()).send().await {
            Ok(answer) if answer.status() == Some(&BucketVersioningStatus::Enabled) => BucketSetting::Good(json!({"versioning": true})),
            Ok(_) => BucketSetting::Lacking(lacking.to_owned()),
            Err(error) => unseen(&error, "s3:GetBucketVersioning", None),
        }
    }

    async fn lock(&self) -> BucketSetting {
        let lacking = "Object Lock is off: who may delete objects can delete every backup";
        match self.client.get_object_lock_configuration().bucket(self.bucket_name()).send().await {
            Ok(answer) => {
                let lock = answer.object_lock_configuration();
                let is_on = lock.and_then(|lock| lock.object_lock_enabled()) == Some(&ObjectLockEnabled::Enabled);
                let default = lock.and_then(|lock| lock.rule()?.default_retention());
                match is_on {
                    true => BucketSetting::Good(json!({
                        "object_lock": true,
                        "default_mode": default.and_then(|default| Some(default.mode()?.as_str().to_owned())),
                        "default_days": default.and_then(|default| default.days()),
                    })),
                    false => BucketSetting::Lacking(lacking.to_owned()),
                }
            }
            Err(error) => unseen(&error, "s3:GetBucketObjectLockConfiguration", Some(lacking)),
        }
    }

    async fn lifecycle(&self, expected: &ExpectedRules<'_>) -> BucketSetting {
        let none = "there are no lifecycle rules: nothing is ever removed, and uploads that a killed run left open cost money";
        match self
            .client
            .get_bucket_lifecycle_configuration()
            .bucket(self.bucket_name())
            .send()
            .await
        {
            Ok(answer) => match fault_of(answer.rules(), expected) {
                Some(fault) => BucketSetting::Lacking(fault),
                None => BucketSetting::Good(json!({"rules": answer.rules().len()})),
            },
            Err(error) => unseen(&error, "s3:GetLifecycleConfiguration", Some(none)),
        }
    }

    async fn default_encryption(&self) -> BucketSetting {
        match self.client.get_bucket_encryption().bucket(self.bucket_name()).send().await {
            Ok(answer) => {
                let rules = answer
                    .server_side_encryption_configuration()
                    .map(|all| all.rules())
                    .unwrap_or_default();
                let by_default = rules.iter().find_map(|rule| rule.apply_server_side_encryption_by_default());
                BucketSetting::Good(json!({
                    "algorithm": by_default.map(|default| default.sse_algorithm().as_str().to_owned()),
                    "kms_key": by_default.and_then(|default| default.kms_master_key_id().map(str::to_owned)),
                }))
            }
            Err(error) => unseen(
                &error,
                "s3:GetEncryptionConfiguration",
                Some("the bucket has no encryption of its own, on top of the seal"),
            ),
        }
    }

    async fn policy(&self, prefix: &str) -> BucketSetting {
        match self.client.get_bucket_policy().bucket(self.bucket_name()).send().await {
            Ok(answer) if forbids_overwriting(answer.policy().unwrap_or_default(), prefix) => {
                BucketSetting::Good(json!({"overwrites": "denied"}))
            }
            Ok(_) => BucketSetting::Lacking(OVERWRITES.to_owned()),
            Err(error) => unseen(&error, "s3:GetBucketPolicy", Some(OVERWRITES)),
        }
    }
}

/// `absent`: what a 404 means, which is S3's way to say that nothing is set.
fn unseen<E>(error: &SdkError<E, HttpResponse>, action: &str, absent: Option<&str>) -> BucketSetting
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let failed = ServiceError::from_sdk(error);
    match (failed.status, absent) {
        (Some(404), Some(absent)) if failed.code != "NoSuchBucket" => BucketSetting::Lacking(absent.to_owned()),
        (Some(401 | 403), _) => BucketSetting::NotSeen(format!("{MAY_NOT} {action}")),
        (Some(status), _) => BucketSetting::NotSeen(format!("{action}: {} {status}", failed.code).replace("  ", " ")),
        (None, _) => BucketSetting::NotSeen(format!("{action}: no answer")),
    }
}

/// Whether some statement denies writes without `If-None-Match` to all that begins so, as deploy/bucket-policy.json has it.
fn forbids_overwriting(policy: &str, prefix: &str) -> bool {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let list = |value: &Value| match value {
        Value::Array(values) => values.clone(),
        one => vec![one.clone()],
    };
    let texts = |value: &Value| -> Vec<String> { list(value).iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect() };
    let denies = |statement: &Value| {
        let is_for_all = statement["Principal"] == "*" || statement["Principal"]["AWS"] == "*";
        let is_of_writes = texts(&statement["Action"])
            .iter()
            .any(|action| matches!(&**action, "s3:PutObject" | "s3:Put*" | "s3:*"));
        let is_of_prefix = texts(&statement["Resource"]).iter().any(|resource| {
            let key = resource
                .split_once(":::")
                .and_then(|(_, path)| path.split_once('/'))
                .map(|(_, key)| key);
            key.and_then(|key| key.strip_suffix('*'))
                .is_some_and(|beginning| prefix.starts_with(beginning))
        });
        let without = statement["Condition"]["Null"].as_object().into_iter().flatten();
        let is_without = without.into_iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("s3:if-none-match") && list(value).iter().any(|one| *one == "true" || *one == true)
        });
        // Whatever else it asks for lets somebody through.
        let known = ["s3:if-none-match", "s3:objectcreationoperation"];
        let conditions = statement["Condition"].as_object().into_iter().flatten();
        let mut keys = conditions.flat_map(|(_, keys)| keys.as_object().into_iter().flatten().map(|(key, _)| key));
        let has_no_other = keys.all(|key| known.contains(&key.to_ascii_lowercase().as_str()));
        statement["Effect"] == "Deny" && is_for_all && is_of_writes && is_of_prefix && is_without && has_no_other
    };
    list(&policy["Statement"]).iter().any(denies)
}

fn fault_of(rules: &[LifecycleRule], expected: &ExpectedRules<'_>) -> Option<String> {
    let enabled: Vec<&LifecycleRule> = rules.iter().filter(|rule| rule.status() == &ExpirationStatus::Enabled).collect();
    let ours = || enabled.iter().filter(|rule| covers(rule, expected.prefix));
    let aborts = ours().any(|rule| rule.abort_incomplete_multipart_upload().is_some());
    let unfinished = "no lifecycle rule aborts uploads that a killed run left open: they cost money, unseen";
    // By a day of the calendar S3 removes all that fits, at once and from then on.
    let is_dated = |rule: &&&LifecycleRule| meets(rule, expected.prefix) && rule.expiration().is_some_and(|end| end.date().is_some());
    let dated = enabled.iter().find(is_dated).map(|rule| {
        let name = rule.id().unwrap_or("without a name");
        format!("the lifecycle rule {name} removes by a date whatever is there on that day, and all that comes later")
    });
    let classes = expected.retention.iter();
    let of_classes = classes.filter_map(|(class, days)| fault_of_class(&enabled, expected.prefix, class, *days));
    // What loses backups first.
    let all: Vec<String> = dated
        .into_iter()
        .chain(of_classes)
        .chain((!aborts).then(|| unfinished.to_owned()))
        .collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// What S3 would do with a manifest of this class, and with what it names.
fn fault_of_class(rules: &[&LifecycleRule], prefix: &str, class: &str, days: u32) -> Option<String> {
    let tag = ("retention", class);
    let (manifest, rest) = (
        removed_after(rules, prefix, &[tag, ("role", "manifest")]),
        removed_after(rules, prefix, &[tag]),
    );
    let (Some(manifest), Some(rest)) = (manifest, rest) else {
        return Some(format!(
            "no lifecycle rule removes what has the tag retention={class}: see deploy/lifecycle.json"
        ));
    };
    if i64::from(manifest.min(rest)) < i64::from(days) {
        return Some(format!(
            "the lifecycle rules remove backups after {} days, before the {days} of `retention` {class}",
            manifest.min(rest)
        ));
    }
    // S3 counts from a time that may be a day earlier for what is written first.
    (rest <= manifest).then(|| {
        format!("the lifecycle rules remove what a manifest of `retention` {class} names after {rest} days, before the manifest: see deploy/lifecycle.json")
    })
}

/// Of several rules that fit S3 takes the shortest. One for a narrower prefix fits some of the backups; one that goes by sizes
/// may fit none.
fn removed_after(rules: &[&LifecycleRule], prefix: &str, object: &[(&str, &str)]) -> Option<i32> {
    let fits = |rule: &&&LifecycleRule| meets(rule, prefix) && !goes_by_size(rule) && tags(rule).all(|tag| object.contains(&tag));
    rules.iter().filter(fits).filter_map(|rule| rule.expiration()?.days()).min()
}

fn goes_by_size(rule: &LifecycleRule) -> bool {
    let Some(filter) = rule.filter() else { return false };
    let and = filter.and();
    let above = filter.object_size_greater_than().or_else(|| and?.object_size_greater_than());
    let below = filter.object_size_less_than().or_else(|| and?.object_size_less_than());
    // All that has a byte is no choice.
    above.is_some_and(|size| size > 0) || below.is_some()
}

/// Whether a rule is for all that begins so; it may be for more.
fn covers(rule: &LifecycleRule, prefix: &str) -> bool {
    prefix.starts_with(prefix_of(rule))
}

/// Whether it is for something that begins so.
fn meets(rule: &LifecycleRule, prefix: &str) -> bool {
    covers(rule, prefix) || prefix_of(rule).starts_with(prefix)
}

fn prefix_of(rule: &LifecycleRule) -> &str {
    #[allow(deprecated, reason = "buckets still have rules of this older form")]
    let older = rule.prefix();
    let filter = rule.filter();
    let named = filter
        .and_then(|filter| filter.prefix().or_else(|| filter.and()?.prefix()))
        .or(older);
    named.unwrap_or_default()
}

fn tags(rule: &LifecycleRule) -> impl Iterator<Item = (&str, &str)> {
    let filter = rule.filter();
    let one = filter.and_then(|filter| filter.tag());
    let several = filter.and_then(|filter| filter.and()).map(|and| and.tags()).unwrap_or_default();
    one.into_iter().chain(several).map(|tag| (tag.key(), tag.value()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::types::{AbortIncompleteMultipartUpload, LifecycleExpiration, LifecycleRuleAndOperator, LifecycleRuleFilter, Tag};

    fn rule(filter: LifecycleRuleFilter, days: Option<i32>) -> LifecycleRule {
        let rule = LifecycleRule::builder().status(ExpirationStatus::Enabled).filter(filter);
        let expiration = days.map(|days| LifecycleExpiration::builder().days(days).build());
        rule.set_expiration(expiration).build().unwrap()
    }

    fn of_prefix(prefix: &str) -> LifecycleRuleFilter {
        LifecycleRuleFilter::builder().prefix(prefix).build()
    }

    fn of_class(class: &str) -> LifecycleRuleFilter {
        let tag = Tag::builder().key("retention").value(class).build().unwrap();
        LifecycleRuleFilter::builder().tag(tag).build()
    }

    fn of_manifests(class: &str) -> LifecycleRuleFilter {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
        let both = LifecycleRuleAndOperator::builder()
            .tags(tag("retention", class))
            .tags(tag("role", "manifest"));
        LifecycleRuleFilter::builder().and(both.build()).build()
    }

    fn aborting(prefix: &str) -> LifecycleRule {
        let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(14).build();
        let mut rule = rule(of_prefix(prefix), None);
        rule.abort_incomplete_multipart_upload = Some(abort);
        rule
    }

    #[test]
    fn rules_are_held_against_the_classes_of_these_backups() {
        let fault = |rules: &[LifecycleRule], retention: &[(&'static str, u32)]| {
            let (prefix, retention) = ("backups/orders/", retention.to_vec());
            fault_of(rules, &ExpectedRules { prefix, retention })
        };
        let class = |name: &str, manifest, rest| [rule(of_manifests(name), Some(manifest)), rule(of_class(name), Some(rest))];
        assert!(fault(&[], &[]).unwrap().contains("left open"));
        assert!(fault(&[aborting("other/")], &[]).unwrap().contains("left open"));
        assert_eq!(fault(&[aborting("backups/")], &[]), None);
        let monthly = [("monthly", 400)];
        assert!(fault(&[aborting("")], &monthly).unwrap().contains("retention=monthly"));
        let with = |more: &[LifecycleRule]| [&[aborting("")], more].concat();
        let good = class("monthly", 400, 402);
        assert_eq!(fault(&with(&good), &monthly), None);
        // Of a calendar every class counts, whatever today's is.
        assert!(
            fault(&with(&good), &[("daily", 14), ("monthly", 400)])
                .unwrap()
                .contains("retention=daily")
        );
        for (rules, told) in [
            (class("monthly", 1, 402).to_vec(), "after 1 days"),
            (class("monthly", 400, 5).to_vec(), "after 5 days"),
            (class("monthly", 402, 400).to_vec(), "before the manifest"),
            (vec![rule(of_manifests("monthly"), Some(400))], "no lifecycle rule"),
            (vec![rule(of_class("monthly"), None)], "no lifecycle rule"),
            ([&good[..], &[rule(of_prefix("backups/"), Some(90))]].concat(), "after 90 days"),
            (
                [&good[..], &[rule(of_prefix("backups/orders/app_"), Some(3))]].concat(),
                "after 3 days",
            ),
        ] {
            let fault = fault(&with(&rules), &monthly).unwrap_or_else(|| panic!("{told}: nothing is told"));
            assert!(fault.contains(told), "{told}: {fault}");
        }
        // One fault hid the others, and a date was none.
        let both = fault(&[rule(of_prefix("backups/"), Some(5))], &monthly).unwrap();
        assert!(both.contains("after 5 days") && both.contains("left open"), "{both}");
        let mut dated = rule(of_prefix("backups/"), None);
        let past = aws_smithy_types::DateTime::from_secs(1_577_836_800);
        dated.expiration = Some(LifecycleExpiration::builder().date(past).build());
        let told = fault(&with(&[&good[..], &[dated]].concat()), &monthly).unwrap();
        assert!(told.contains("by a date"), "{told}");
        let mut off = rule(of_prefix("backups/"), Some(90));
        off.status = ExpirationStatus::Disabled;
        assert_eq!(fault(&with(&[&good[..], &[off]].concat()), &monthly), None);
        let large = LifecycleRuleFilter::builder().object_size_greater_than(1 << 50).build();
        assert_eq!(fault(&with(&[&good[..], &[rule(large, Some(3))]].concat()), &monthly), None);
    }

    #[test]
    fn a_policy_forbids_overwriting_only_where_it_denies_what_has_no_condition() {
        let ours = include_str!("../../deploy/bucket-policy.json");
        let forbids = |policy: &str| forbids_overwriting(policy, "backups/");
        assert!(forbids(ours));
        for (from, to) in [
            ("\"Deny\"", "\"Allow\""),
            ("\"s3:if-none-match\": \"true\"", "\"s3:if-none-match\": \"false\""),
            ("acme-backups/*", "acme-backups/other/*"),
            ("s3:PutObject", "s3:GetObject"),
            (
                "\"Null\": {",
                "\"StringEquals\": {\"aws:PrincipalArn\": \"arn:aws:iam::1:user/x\"}, \"Null\": {",
            ),
        ] {
            let other = ours.replace(from, to);
            assert!(other != ours && !forbids(&other), "{to}");
        }
        assert!(!forbids("{}") && !forbids("no JSON"));
    }
}
