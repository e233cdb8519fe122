//! What a bucket does for the backups in it, as far as the role may look: a backup needs none of these rights.

use super::S3;
use crate::aws::ServiceError;
use aws_sdk_s3::types::{BucketVersioningStatus, ExpirationStatus, LifecycleRule, ObjectLockEnabled};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde_json::{Value, json};

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
            self.policy()
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

    async fn policy(&self) -> BucketSetting {
        match self.client.get_bucket_policy().bucket(self.bucket_name()).send().await {
            Ok(answer) if forbids_overwriting(answer.policy().unwrap_or_default()) => BucketSetting::Good(json!({"overwrites": "denied"})),
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
        (Some(401 | 403), _) => BucketSetting::NotSeen(format!("the role may not call {action}")),
        (Some(status), _) => BucketSetting::NotSeen(format!("{action}: {} {status}", failed.code).replace("  ", " ")),
        (None, _) => BucketSetting::NotSeen(format!("{action}: no answer")),
    }
}

/// Whether some statement denies what has no `If-None-Match`.
fn forbids_overwriting(policy: &str) -> bool {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let statements = match &policy["Statement"] {
        Value::Array(statements) => statements.clone(),
        one => vec![one.clone()],
    };
    let denies = |statement: &Value| {
        statement["Effect"] == "Deny"
            && statement["Condition"]
                .to_string()
                .to_ascii_lowercase()
                .contains("\"s3:if-none-match\"")
    };
    statements.iter().any(denies)
}

fn fault_of(rules: &[LifecycleRule], expected: &ExpectedRules<'_>) -> Option<String> {
    let enabled: Vec<&LifecycleRule> = rules.iter().filter(|rule| rule.status() == &ExpirationStatus::Enabled).collect();
    let ours = || enabled.iter().filter(|rule| covers(rule, expected.prefix));
    if !ours().any(|rule| rule.abort_incomplete_multipart_upload().is_some()) {
        return Some("no lifecycle rule aborts uploads that a killed run left open: they cost money, unseen".to_owned());
    }
    let classes = expected.retention.iter();
    classes
        .map(|(class, days)| fault_of_class(ours().copied(), class, *days))
        .find_map(|fault| fault)
}

fn fault_of_class<'a>(rules: impl Iterator<Item = &'a LifecycleRule> + Clone, class: &str, days: u32) -> Option<String> {
    let of_class = |rule: &&LifecycleRule| tags(rule).any(|(name, value)| (name, value) == ("retention", class));
    if !rules.clone().any(|rule| of_class(&rule) && rule.expiration().is_some()) {
        return Some(format!(
            "no lifecycle rule removes what has the tag retention={class}: see deploy/lifecycle.json"
        ));
    }
    // Of several that fit S3 takes the shortest.
    let sooner = rules
        .filter(|rule| tags(rule).next().is_none())
        .filter_map(|rule| rule.expiration()?.days());
    let first = sooner.min().filter(|first| i64::from(*first) < i64::from(days))?;
    Some(format!(
        "a lifecycle rule without tags removes everything after {first} days, before the {days} of `retention` {class}"
    ))
}

/// Whether a rule is for all that begins so; it may be for more.
fn covers(rule: &LifecycleRule, prefix: &str) -> bool {
    #[allow(deprecated, reason = "buckets still have rules of this older form")]
    let older = rule.prefix();
    let filter = rule.filter();
    let named = filter
        .and_then(|filter| filter.prefix().or_else(|| filter.and()?.prefix()))
        .or(older);
    prefix.starts_with(named.unwrap_or_default())
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
    use aws_sdk_s3::types::{AbortIncompleteMultipartUpload, LifecycleExpiration, LifecycleRuleFilter, Tag};

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

    fn aborting(prefix: &str) -> LifecycleRule {
        let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(14).build();
        let mut rule = rule(of_prefix(prefix), None);
        rule.abort_incomplete_multipart_upload = Some(abort);
        rule
    }

    #[test]
    fn rules_are_held_against_the_class_of_these_backups() {
        let fault = |rules: &[LifecycleRule], retention| {
            let prefix = "backups/orders/";
            fault_of(rules, &ExpectedRules { prefix, retention })
        };
        let monthly = || vec![("monthly", 400)];
        assert!(fault(&[], Vec::new()).unwrap().contains("left open"));
        assert!(fault(&[aborting("other/")], Vec::new()).unwrap().contains("left open"));
        assert_eq!(fault(&[aborting("backups/")], Vec::new()), None);
        assert!(fault(&[aborting("")], monthly()).unwrap().contains("retention=monthly"));
        let rules = [aborting(""), rule(of_class("monthly"), Some(400))];
        assert_eq!(fault(&rules, monthly()), None);
        let rules = [
            aborting(""),
            rule(of_class("monthly"), Some(400)),
            rule(of_prefix("backups/"), Some(90)),
        ];
        assert!(fault(&rules, monthly()).unwrap().contains("after 90 days"));
        // Of a calendar every class counts, whatever today's is.
        let gfs = vec![("daily", 14), ("monthly", 400)];
        let rules_of_both = [&rules[..], &[rule(of_class("daily"), Some(14))]].concat();
        assert!(fault(&rules_of_both, gfs).unwrap().contains("`retention` monthly"));
        let mut off = rules;
        off[2].status = ExpirationStatus::Disabled;
        assert_eq!(fault(&off, monthly()), None);
    }

    #[test]
    fn a_policy_forbids_overwriting_only_by_a_deny() {
        let ours = include_str!("../../deploy/bucket-policy.json");
        assert!(forbids_overwriting(ours));
        assert!(!forbids_overwriting(&ours.replace("\"Deny\"", "\"Allow\"")));
        assert!(!forbids_overwriting("{}") && !forbids_overwriting("no JSON"));
    }
}
