//! JSON as the program prints it.

use serde::Serialize;

/// An answer in one line.
pub trait ToJson: Serialize {
    fn to_json(&self) -> String;
}

impl<T: Serialize> ToJson for T {
    fn to_json(&self) -> String {
        // Our own types have texts for keys and finite numbers: nothing of them can fail.
        serde_json::to_string(self).unwrap_or_else(|_| r#"{"status":"failed","error":{"code":"bug"}}"#.to_owned())
    }
}
