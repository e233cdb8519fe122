//! What holds in every state, and what must be reachable lest the rest says nothing.

use crate::delivery::Delivery;
use crate::protocol::Protocol;
use crate::s3::{Nameless, Names, Op, PLANTED, RUNS, Upload};
use crate::step::{After, Step, Word};
use crate::world::{State, World};
use stateright::Property;

pub const WHOLE: &str = "1: what a manifest names stands whole";
pub const SUCCESS: &str = "2: success is said only if a manifest of this very order exists";
pub const ONCE: &str = "5: the event commits at most once";
pub const PLAIN_FAILURE: &str = "a failure that is not of the commit leaves no manifest of its run";
pub const GONE: &str = "s3_upload_gone is true when it is said";
pub const COMMIT_FAILED: &str = "commit_failed is true when it is said";
pub const ABORTED: &str = "an upload stays open only where that is told";
pub const NAMELESS: &str = "uploads are looked for where an answer to Create was lost";
pub const UNDISTURBED: &str = "a delivery that no fault touched succeeds";
pub const CARD: &str = "the recovery instructions are of the backup that stands";

type Properties = Vec<Property<World>>;

pub fn of(protocol: Protocol, faults: u8) -> Properties {
    let mut properties = vec![
        Property::always(WHOLE, |_, state: &State| {
            state.s3.manifest.is_none_or(|run| run == PLANTED || state.s3.is_whole(run))
        }),
        Property::always(SUCCESS, |_, state: &State| {
            state.said().all(|(run, said)| match said.word {
                Word::Complete => state.s3.manifest == Some(run),
                Word::AlreadyComplete => state.s3.is_of_order(run),
                _ => true,
            })
        }),
        Property::always(ONCE, |_, state: &State| {
            let complete = state.said().filter(|(_, said)| said.word == Word::Complete).count();
            state.s3.commits <= 1 && complete <= 1
        }),
        Property::always(PLAIN_FAILURE, |_, state: &State| {
            state.said().all(|(run, said)| {
                let may_stand = said.word.is_success() || said.word.is_of_the_commit();
                // Where another one stands, none that is late can follow.
                let may_follow = state.s3.manifest.is_none() && state.s3.is_late(run, Op::PutManifest);
                may_stand || (state.s3.manifest != Some(run) && !may_follow)
            })
        }),
        Property::always(COMMIT_FAILED, |_, state: &State| is_never_wrong(state, Word::CommitFailed)),
        Property::always(GONE, |_, state: &State| is_never_wrong(state, Word::UploadGone)),
        Property::always(ABORTED, |_, state: &State| {
            state
                .said()
                .all(|(run, said)| said.tells_open_upload || !matches!(state.s3.uploads[run], Upload::Open(_)))
        }),
        Property::always(CARD, |_, state: &State| {
            state.s3.card.is_none_or(|run| state.s3.manifest == Some(run))
        }),
    ];
    if protocol.names() == Names::OfTheRun {
        properties.push(Property::always(NAMELESS, |_, state: &State| {
            state.said().all(|(run, _)| state.s3.nameless[run] != Nameless::Open)
        }));
        properties.push(Property::always(UNDISTURBED, |_, state: &State| {
            let s3 = &state.s3;
            let is_calm = s3.may_look && s3.orders == [s3.orders[0]; RUNS] && s3.manifest != Some(PLANTED);
            !is_calm || state.said().all(|(_, said)| !said.is_unprovoked)
        }));
    }
    match (protocol, faults) {
        (Protocol::Ours, 1) => properties.extend(outcomes().into_iter().chain(mishaps())),
        (Protocol::Ours, _) => properties.extend(rare_mishaps()),
        _ => {}
    }
    properties
}

fn is_never_wrong(state: &State, word: Word) -> bool {
    !state.said().any(|(_, said)| said.word == word && said.is_wrong)
}

/// Each outcome is reached. One fault is enough for each of these, and what one reaches two reach as well: each property
/// more costs time in every state.
fn outcomes() -> Properties {
    vec![
        Property::sometimes("complete", |_, state: &State| has_said(state, Word::Complete)),
        Property::sometimes("already_complete", |_, state: &State| has_said(state, Word::AlreadyComplete)),
        Property::sometimes("s3_unavailable", |_, state: &State| has_said(state, Word::Unavailable)),
        Property::sometimes("s3_denied", |_, state: &State| has_said(state, Word::Denied)),
        Property::sometimes("s3_upload_gone", |_, state: &State| has_said(state, Word::UploadGone)),
        Property::sometimes("commit_unknown", |_, state: &State| has_said(state, Word::CommitUnknown)),
        Property::sometimes("commit_failed", |_, state: &State| has_said(state, Word::CommitFailed)),
        Property::sometimes("terminated", |_, state: &State| has_said(state, Word::Terminated)),
        Property::sometimes("terminated, the manifest on its way", |_, state: &State| {
            has_said(state, Word::OnItsWay)
        }),
        Property::sometimes("two deliveries at the commit at once", |_, state: &State| {
            state.deliveries.iter().filter(|it| it.step == Step::PutManifest).count() == 2
        }),
        Property::sometimes("all three deliveries end with success", |_, state: &State| {
            state.said().filter(|(_, said)| said.word.is_success()).count() == RUNS
        }),
        Property::sometimes("commit_unknown without the right to look", |_, state: &State| {
            !state.s3.may_look && has_said(state, Word::ManifestUnknown)
        }),
        Property::sometimes("stem_taken by another order", |_, state: &State| {
            state.s3.manifest != Some(PLANTED) && has_said(state, Word::StemTaken)
        }),
        Property::sometimes("stem_taken by what was planted", |_, state: &State| {
            state.s3.manifest == Some(PLANTED) && has_said(state, Word::StemTaken)
        }),
        Property::sometimes("planted between the last look and the commit", |_, state: &State| {
            let waits = |it: &Delivery| it.step == Step::CompareManifest(After::Exists);
            state.s3.manifest == Some(PLANTED) && state.deliveries.iter().any(waits)
        }),
        Property::sometimes("a later delivery commits after a crash", |_, state: &State| {
            state.deliveries[0].step == Step::Crashed && state.s3.manifest == Some(2)
        }),
    ]
}

/// Each kind of mishap has the effect that makes it worth a model.
fn mishaps() -> Properties {
    vec![
        Property::sometimes("the answer to Complete was lost", |_, state: &State| {
            let looks = |it: &Delivery| matches!(it.step, Step::LookForDump(After::Exists | After::Silence));
            (0..RUNS).any(|run| looks(&state.deliveries[run]) && !it_is_small(state) && state.s3.dumps[run].is_some())
        }),
        Property::sometimes("a Complete without sense that was carried out", |_, state: &State| {
            (0..RUNS).any(|run| state.deliveries[run].step == Step::LookForDump(After::Senseless) && state.s3.dumps[run].is_some())
        }),
        Property::sometimes("a Complete that comes after the failure was told", |_, state: &State| {
            state
                .said()
                .any(|(run, said)| said.word == Word::Unavailable && state.s3.uploads[run] == Upload::Completed)
        }),
        Property::sometimes("a repeated manifest meets its own first try", |_, state: &State| {
            (0..RUNS).any(|run| state.deliveries[run].step == Step::CompareManifest(After::Exists) && state.s3.manifest == Some(run))
        }),
        Property::sometimes("the manifest of a killed run arrives", |_, state: &State| {
            (0..RUNS).any(|run| state.deliveries[run].step == Step::Crashed && state.s3.manifest == Some(run))
        }),
        Property::sometimes("the manifest arrives after commit_failed", |_, state: &State| {
            let failed = |run| {
                state
                    .said()
                    .any(|(it, said)| it == run && said.word == Word::CommitFailed && !said.is_wrong)
            };
            state.s3.manifest.is_some_and(failed)
        }),
        Property::sometimes("an upload of a killed run stays open", |_, state: &State| {
            (0..RUNS).any(|run| state.deliveries[run].step == Step::Crashed && matches!(state.s3.uploads[run], Upload::Open(_)))
        }),
        Property::sometimes("an upload whose id nobody learned", |_, state: &State| {
            state.s3.nameless.contains(&Nameless::Open)
        }),
    ]
}

/// What takes two of them.
fn rare_mishaps() -> Properties {
    vec![
        Property::sometimes("two manifests on their way that nobody waits for", |_, state: &State| {
            (0..RUNS).filter(|run| state.s3.is_late(*run, Op::PutManifest)).count() == 2
        }),
        Property::sometimes("an open upload that is told", |_, state: &State| {
            state.said().any(|(_, said)| said.tells_open_upload)
        }),
    ]
}

fn has_said(state: &State, word: Word) -> bool {
    state.said().any(|(_, said)| said.word == word)
}

fn it_is_small(state: &State) -> bool {
    state.deliveries[0].is_small
}
