//! A JSON document as text again, as a library that only hands out what it deserialized had it.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// The document with every name that stands in it, those that stand twice too: a [`Value`] would have dropped one.
pub struct EventText(pub String);

impl<'de> Deserialize<'de> for EventText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::new();
        Append(&mut text).deserialize(deserializer)?;
        Ok(Self(text))
    }
}

/// Appends what it reads.
struct Append<'a>(&'a mut String);

impl Append<'_> {
    fn scalar<E>(self, value: &Value) -> Result<(), E> {
        self.0.push_str(&value.to_string());
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Append<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Append<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(&value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(&value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(&value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.scalar(&value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.scalar(&value.into())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.scalar(&Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.push('[');
        let start = self.0.len();
        loop {
            let end = self.0.len();
            if end > start {
                self.0.push(',');
            }
            if items.next_element_seed(Append(self.0))?.is_none() {
                self.0.truncate(end);
                break;
            }
        }
        self.0.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.0.push('{');
        let start = self.0.len();
        while let Some(name) = entries.next_key::<String>()? {
            if self.0.len() > start {
                self.0.push(',');
            }
            self.0.push_str(&Value::from(name).to_string());
            self.0.push(':');
            entries.next_value_seed(Append(self.0))?;
        }
        self.0.push('}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[test]
    fn the_text_is_the_documents_own_names_given_twice_included() {
        for text in [
            r#"{"a":1,"a":{"b":[1,-2,2.5,null,true,"x\"\n"],"b":[]},"c":{}}"#,
            r#"[[],[[1],2]]"#,
            r#""ü""#,
            "null",
        ] {
            assert_eq!(serde_json::from_str::<EventText>(text).unwrap().0, text);
        }
        let twice = serde_json::from_str::<EventText>(r#"{"database": "app", "bucket": "b", "database": "part"}"#).unwrap();
        assert_eq!(Event::parse(&twice.0).err().unwrap().field.as_deref(), Some("database"));
    }
}
