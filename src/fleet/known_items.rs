//! What is still to be done of all that several plans of one time mean.

use super::files::{GroupLine, LeftOutLine, WrittenItem};
use crate::rds::discovery::ServerKind;
use std::collections::{BTreeMap, BTreeSet};

/// Of several plans, the oldest first.
#[derive(Default)]
pub(super) struct KnownItems {
    /// Each with what its plan was asked for.
    items: BTreeMap<ItemKey, (String, WrittenItem)>,
    /// Servers all of whose databases are known, and what was asked for.
    answered: BTreeSet<(Server, String)>,
}

impl KnownItems {
    pub(super) fn add(&mut self, left_out: &[LeftOutLine], groups: Vec<(GroupLine, Vec<WrittenItem>)>) {
        for line in left_out {
            self.leave_out(line);
        }
        for (group, items) in groups {
            // One server's: no two of a plan have one name.
            let kind = items.first().and_then(|item| item.kind);
            let of: (Server, String) = ((group.group, kind), group.asked);
            // A tag narrowed what was asked for: without it there may be more.
            let is_narrowed = left_out.iter().any(|line| line.by_tag && line.server() == of.0);
            if items.iter().any(|item| item.database.is_some()) {
                // All its databases as they are now: one that is not among them has been dropped since.
                self.items.retain(|(server, _, _), (asked, _)| *server != of.0 || *asked != of.1);
                match is_narrowed {
                    true => self.answered.remove(&of),
                    false => self.answered.insert(of.clone()),
                };
            }
            let counts = items
                .into_iter()
                .filter(|item| item.database.is_some() || !self.answered.contains(&of));
            self.items.extend(counts.map(|item| (item.key(), (of.1.clone(), item))));
        }
    }

    fn leave_out(&mut self, left_out: &LeftOutLine) {
        let is_it = |(server, _, database): &ItemKey| {
            *server == left_out.server() && (left_out.database.is_none() || *database == left_out.database)
        };
        self.items.retain(|key, (asked, _)| !is_it(key) || *asked != left_out.asked);
        if left_out.database.is_none() {
            self.answered.remove(&(left_out.server(), left_out.asked.clone()));
        }
    }

    pub(super) fn all(self) -> Vec<WrittenItem> {
        self.items.into_values().map(|(_, item)| item).collect()
    }
}

/// Two servers may have one name, an instance and a cluster.
type Server = (String, Option<ServerKind>);

/// Server, host and port, database.
type ItemKey = (Server, String, Option<String>);

impl LeftOutLine {
    fn server(&self) -> Server {
        (self.group.clone(), self.kind)
    }
}

impl WrittenItem {
    fn key(&self) -> ItemKey {
        let of_event = |field: &str| self.event.as_ref().map(|event| event[field].to_string()).unwrap_or_default();
        (
            (self.group.clone(), self.kind),
            format!("{}:{}", of_event("host"), of_event("port")),
            self.database.clone(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(asked: &str) -> GroupLine {
        GroupLine {
            group: "orders".to_owned(),
            bucket: "b".to_owned(),
            key: "k".to_owned(),
            items: 1,
            asked: asked.to_owned(),
        }
    }

    fn item(database: Option<&str>) -> WrittenItem {
        WrittenItem {
            group: "orders".to_owned(),
            kind: None,
            database: database.map(str::to_owned),
            event: None,
            error: None,
        }
    }

    fn left_out(database: Option<&str>, asked: &str, by_tag: bool) -> LeftOutLine {
        LeftOutLine {
            group: "orders".to_owned(),
            kind: None,
            asked: asked.to_owned(),
            by_tag,
            database: database.map(str::to_owned),
        }
    }

    /// What was asked, what it left out, and what it found.
    type MadePlan<'a> = (&'a str, Vec<LeftOutLine>, &'a [Option<&'a str>]);

    /// What is still to be done after plans.
    fn told(plans: Vec<MadePlan<'_>>) -> Vec<Option<String>> {
        let mut known = KnownItems::default();
        for (asked, left_out, found) in plans {
            let items = found.iter().copied().map(item).collect();
            known.add(
                &left_out,
                if found.is_empty() {
                    Vec::new()
                } else {
                    vec![(group(asked), items)]
                },
            );
        }
        known.all().into_iter().map(|item| item.database).collect()
    }

    /// A run that was tried again could never succeed, whichever of the two could not ask the server.
    #[test]
    fn a_server_that_could_not_be_asked_is_no_failure_once_its_databases_are_known() {
        let app = || Some("app".to_owned());
        let (asleep, awake): (&[Option<&str>], &[Option<&str>]) = (&[None], &[Some("app")]);
        assert_eq!(told(vec![("all", vec![], asleep), ("all", vec![], awake)]), [app()]);
        assert_eq!(told(vec![("all", vec![], awake), ("all", vec![], asleep)]), [app()]);
        // By another event, which may mean fewer of its databases, the rest is not known.
        assert_eq!(told(vec![("some", vec![], awake), ("all", vec![], asleep)]), [None, app()]);
        // A tag that narrows counts for as long as it is there.
        let narrowed = || vec![left_out(Some("two"), "all", true)];
        assert_eq!(told(vec![("all", narrowed(), asleep), ("all", narrowed(), awake)]), [app()]);
        assert_eq!(told(vec![("all", narrowed(), awake), ("all", vec![], asleep)]), [None, app()]);
    }

    /// The summary of a fleet whose cluster was gone said `complete`, by the databases of the instance of its name.
    #[test]
    fn a_server_does_not_answer_for_another_of_its_name() {
        let of = |kind, database| WrittenItem {
            kind: Some(kind),
            ..item(database)
        };
        let plans = || [vec![of(ServerKind::Instance, Some("app"))], vec![of(ServerKind::Cluster, None)]];
        for is_turned in [false, true] {
            let mut plans = plans();
            if is_turned {
                plans.reverse();
            }
            let mut known = KnownItems::default();
            for items in plans {
                known.add(&[], vec![(group("all"), items)]);
            }
            assert_eq!(known.all().len(), 2, "turned: {is_turned}");
        }
    }

    /// It failed the summaries of its time for good.
    #[test]
    fn a_database_that_a_later_plan_of_the_same_event_finds_no_more_is_no_failure() {
        let (before, after): (&[Option<&str>], &[Option<&str>]) = (&[Some("app"), Some("old")], &[Some("app")]);
        assert_eq!(told(vec![("all", vec![], before), ("all", vec![], after)]).len(), 1);
        assert_eq!(told(vec![("all", vec![], before), ("some", vec![], after)]).len(), 2);
        // The later one could not ask: nothing is known of it.
        assert_eq!(told(vec![("all", vec![], before), ("all", vec![], &[None])]).len(), 2);
    }

    #[test]
    fn what_a_later_plan_of_the_same_event_leaves_out_is_no_failure() {
        let all: &[Option<&str>] = &[Some("app"), Some("old"), None];
        let told_after = |lines: Vec<LeftOutLine>, found: &[Option<&str>]| told(vec![("all", vec![], all), ("all", lines, found)]);
        assert_eq!(told_after(vec![left_out(Some("old"), "all", false)], &[]).len(), 1);
        assert_eq!(told_after(vec![left_out(None, "all", false)], &[]).len(), 0);
        // Another event's plan says nothing of these.
        assert_eq!(told_after(vec![left_out(None, "some", false)], &[]).len(), 2);
        // Asked again without the tag that left all of it out, it does not answer: then nothing is known of it.
        let plans = vec![
            ("all", vec![], &[Some("app")][..]),
            ("all", vec![left_out(None, "all", false)], &[]),
            ("all", vec![], &[None]),
        ];
        assert_eq!(told(plans), [None]);
    }
}
