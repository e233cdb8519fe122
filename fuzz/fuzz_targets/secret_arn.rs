//! The ARN of a secret, which may come in an event and names the region that is asked for a password: what is taken is an ARN
//! of Secrets Manager with a region's name where the region is, and what is refused is not repeated.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgseal::error::Code;
use pgseal::plan::values::secret_arn;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match secret_arn(text.to_owned()) {
        Ok(secret) => {
            assert_eq!(secret.arn, text);
            let parts: Vec<&str> = text.splitn(7, ':').collect();
            assert!(parts[0] == "arn" && parts[1].starts_with("aws") && parts[2] == "secretsmanager" && parts[5] == "secret");
            assert_eq!(parts[3], secret.region.as_str());
            // It becomes a part of a host's name.
            let in_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(
                !secret.region.as_str().is_empty() && secret.region.as_str().bytes().all(in_host),
                "{}",
                secret.region
            );
            assert!(parts[4].bytes().all(|byte| byte.is_ascii_digit()) && !parts[6].is_empty());
        }
        Err(error) => {
            assert_eq!(error.code, Code::BadEvent);
            assert!(text.len() < 24 || !error.to_string().contains(text), "the text is repeated");
        }
    }
});
