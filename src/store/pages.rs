//! The pages of a listing, one after the other to its end: a server that leads nowhere is not followed forever, and one that
//! says that more follows and not where has not told the whole.

use crate::error::{Code, Error, Result};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use std::collections::HashSet;

/// Pages of a thousand: more than any folder of backups has.
const MAX_PAGES: u32 = 10_000;
/// Pages in a row with nothing in them: some servers send a few where much was deleted.
const MAX_EMPTY: u32 = 100;

/// Where a listing is.
#[derive(Debug, Default)]
pub(super) struct Pages {
    token: Option<String>,
    tokens: HashSet<String>,
    /// What each page begins with.
    beginnings: HashSet<String>,
    pages: u32,
    empty: u32,
}

impl Pages {
    /// Of the page that is due; none at the first.
    pub(super) fn token(&self) -> Option<String> {
        self.token.clone()
    }

    /// Whether another page follows this one.
    pub(super) fn turn(&mut self, page: &ListObjectsV2Output, arn: &str) -> Result<bool> {
        let lost = |why: &str| {
            let told = format!("s3:ListBucket on {arn}: the pages of the list do not come to an end: {why}");
            Err(Error::new(Code::S3Unavailable, told))
        };
        if page.is_truncated() != Some(true) {
            return Ok(false);
        }
        let Some(token) = page.next_continuation_token() else {
            return lost("more is to follow, and no token says where");
        };
        if !self.tokens.insert(token.to_owned()) {
            return lost("a token came twice");
        }
        let key = page.contents().first().and_then(|object| object.key());
        match key.or_else(|| page.common_prefixes().first().and_then(|folder| folder.prefix())) {
            Some(beginning) if !self.beginnings.insert(beginning.to_owned()) => return lost("a page came twice"),
            Some(_) => self.empty = 0,
            None => self.empty += 1,
        }
        self.pages += 1;
        if self.pages >= MAX_PAGES || self.empty >= MAX_EMPTY {
            return lost("there are too many");
        }
        self.token = Some(token.to_owned());
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::types::Object;

    fn page(token: Option<&str>, keys: &[&str]) -> ListObjectsV2Output {
        let contents = keys.iter().map(|key| Object::builder().key(*key).build()).collect();
        ListObjectsV2Output::builder()
            .is_truncated(true)
            .set_next_continuation_token(token.map(str::to_owned))
            .set_contents(Some(contents))
            .build()
    }

    #[test]
    fn a_listing_that_leads_nowhere_ends() {
        let arn = "arn:aws:s3:::b";
        let turned = |pages: &[ListObjectsV2Output]| {
            let mut at = Pages::default();
            pages
                .iter()
                .try_fold(true, |_, page| at.turn(page, arn))
                .map_err(|error| error.code)
        };
        let refused = Err(Code::S3Unavailable);
        assert_eq!(
            turned(&[page(Some("1"), &["a"]), page(Some("2"), &[]), page(Some("3"), &["b"])]),
            Ok(true)
        );
        assert_eq!(
            turned(&[page(Some("1"), &["a"]), ListObjectsV2Output::builder().build()]),
            Ok(false)
        );
        assert_eq!(turned(&[page(None, &["a"])]), refused);
        assert_eq!(turned(&[page(Some("same"), &[]), page(Some("same"), &[])]), refused);
        // From one to the other and back.
        assert_eq!(turned(&["1", "2", "1"].map(|token| page(Some(token), &[]))), refused);
        assert_eq!(turned(&[page(Some("1"), &["a"]), page(Some("2"), &["a"])]), refused);
        let endless = |with_keys: bool| {
            let mut at = Pages::default();
            (0..MAX_PAGES).try_for_each(|number| {
                let name = number.to_string();
                let keys: &[&str] = if with_keys { &[&name] } else { &[] };
                at.turn(&page(Some(&name), keys), arn).map(drop)
            })
        };
        assert!(endless(true).is_err() && endless(false).is_err());
    }
}
