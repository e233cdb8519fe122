//! One delivery of the event, step by step as `src/backup` and `src/store` go. Each step waits for one answer of S3;
//! what happens between two answers nobody else can see.

use crate::protocol::Protocol;
use crate::s3::{Answer, Names, Op, Run, WHOLE};
use crate::step::{After, CommandOutput, Step, Word};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Delivery {
    pub step: Step,
    /// The whole dump fits into one part.
    pub is_small: bool,
    /// Parts sent and not answered; parts answered.
    pub flying: u8,
    pub landed: u8,
    pub failed_part: Option<Word>,
    /// `Tries::count` is above one.
    pub has_repeated_create: bool,
    /// An upload is open, as far as the program knows.
    pub has_upload: bool,
    /// A signal or the deadline came.
    pub is_cancelled: bool,
    /// A fault touched it.
    pub is_hurt: bool,
}

impl Delivery {
    pub fn new(is_small: bool) -> Self {
        Self {
            step: Step::Look,
            is_small,
            flying: 0,
            landed: 0,
            failed_part: None,
            has_repeated_create: false,
            has_upload: false,
            is_cancelled: false,
            is_hurt: false,
        }
    }

    /// The request whose answer it waits for, beside those of the parts.
    pub fn request(&self, protocol: Protocol) -> Option<Op> {
        Some(match self.step {
            Step::Look | Step::LookAgain => Op::HeadManifest,
            Step::PutKey => Op::PutKey,
            Step::CompareKey => Op::GetKey,
            Step::Create => Op::Create,
            Step::AbortOthers(_) => Op::AbortOthers,
            Step::PutInventory => Op::PutInventory,
            Step::Complete if protocol == Protocol::AwaitsNoParts => Op::Complete(self.landed),
            Step::Complete => Op::Complete(WHOLE),
            Step::PutDump => Op::PutDump,
            Step::LookForDump(_) => Op::HeadDump,
            Step::PutManifest if protocol == Protocol::Overwrites => Op::OverwriteManifest,
            Step::PutManifest => Op::PutManifest,
            Step::CompareManifest(_) => Op::GetManifest,
            Step::PutCard => Op::PutCard,
            Step::Abort(_) => Op::Abort,
            Step::Dump | Step::AwaitParts | Step::Ended(_) | Step::Crashed => return None,
        })
    }

    pub fn said(&self) -> Option<CommandOutput> {
        match self.step {
            Step::Ended(said) => Some(said),
            _ => None,
        }
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.step, Step::Ended(_) | Step::Crashed)
    }

    pub fn is_stopping(&self) -> bool {
        self.has_ended() || matches!(self.step, Step::Abort(_))
    }

    /// `Cancel::settle`, and a limit of its own for `abort_others`: the answer is waited for though a signal came. All else
    /// is `Cancel::race` or `Cancel::check`.
    pub fn settles(&self) -> bool {
        matches!(
            self.step,
            Step::Create
                | Step::AbortOthers(_)
                | Step::Complete
                | Step::PutDump
                | Step::LookForDump(_)
                | Step::PutManifest
                | Step::CompareManifest(_)
                | Step::PutCard
        )
    }

    /// `pg_dump` is done: only the part that is held back remains.
    pub fn end_dump(&mut self, protocol: Protocol) {
        self.step = if protocol.names() == Names::Shared {
            Step::LookAgain
        } else {
            Step::PutInventory
        };
    }

    pub fn take_part(&mut self, part: u8, answer: Answer) {
        self.flying &= !part;
        match answer {
            Answer::Done => self.landed |= part,
            Answer::NoUpload => self.failed_part = Some(Word::UploadGone),
            Answer::Silence => self.failed_part = Some(Word::Unavailable),
            _ => self.failed_part = Some(Word::Denied),
        }
    }

    pub fn take(&mut self, run: Run, answer: Answer, protocol: Protocol) {
        match self.step {
            Step::Look => match answer {
                Answer::Found(_) => self.stop(Word::AlreadyComplete),
                Answer::Foreign => self.stop(foreign(protocol)),
                Answer::Silence => self.stop(Word::Unavailable),
                _ if protocol.has_key_last() => self.begin_dump(protocol),
                _ => self.step = Step::PutKey,
            },
            Step::PutKey => match answer {
                Answer::Exists if protocol.compares_key() => self.step = Step::CompareKey,
                Answer::Done | Answer::Exists => self.key_stands(protocol),
                other => self.fail(other),
            },
            Step::CompareKey => match answer {
                Answer::Found(content) if content.by == run => self.key_stands(protocol),
                Answer::Silence => self.stop(Word::Unavailable),
                _ => self.stop(Word::KeyExists),
            },
            Step::Create => self.take_create(answer, protocol),
            Step::AbortOthers(None) => self.send_first(),
            Step::AbortOthers(Some(word)) => self.stop(word),
            Step::PutInventory => match answer {
                Answer::Done | Answer::Exists if protocol == Protocol::ManifestFirst => self.step = Step::PutManifest,
                Answer::Done | Answer::Exists => self.step = Step::LookAgain,
                other => self.fail(other),
            },
            Step::LookAgain => match answer {
                Answer::Found(_) => self.stop(Word::AlreadyComplete),
                Answer::Foreign => self.stop(foreign(protocol)),
                Answer::Silence => self.stop(Word::Unavailable),
                _ => self.send_last(),
            },
            Step::Complete => self.take_complete(answer, protocol),
            Step::PutDump => match answer {
                Answer::Done => self.dump_stands(protocol),
                Answer::Exists => self.step = Step::LookForDump(After::Exists),
                other => self.fail(other),
            },
            Step::LookForDump(after) => self.take_dump(run, after, answer, protocol),
            Step::PutManifest => match answer {
                Answer::Done => self.manifest_stands(protocol),
                Answer::Silence if protocol == Protocol::TrustsManifest => self.step = Step::PutCard,
                Answer::Exists => self.step = Step::CompareManifest(After::Exists),
                Answer::GraceOver => self.step = Step::CompareManifest(After::Cancel),
                Answer::Silence => self.step = Step::CompareManifest(After::Silence),
                _ => self.step = Step::CompareManifest(After::Refused),
            },
            Step::CompareManifest(after) => self.take_manifest(run, after, answer, protocol),
            Step::PutCard => self.stop(Word::Complete),
            Step::Abort(said) => {
                let tells_open_upload = !matches!(answer, Answer::Done | Answer::NoUpload);
                self.step = Step::Ended(CommandOutput { tells_open_upload, ..said });
            }
            Step::Dump | Step::AwaitParts | Step::Ended(_) | Step::Crashed => {}
        }
    }

    fn key_stands(&mut self, protocol: Protocol) {
        if protocol.has_key_last() {
            self.step = Step::PutManifest;
        } else {
            self.begin_dump(protocol);
        }
    }

    fn begin_dump(&mut self, protocol: Protocol) {
        if self.is_small {
            self.end_dump(protocol);
        } else {
            self.step = Step::Create;
        }
    }

    /// `Upload::open`.
    fn take_create(&mut self, answer: Answer, protocol: Protocol) {
        self.has_upload = answer == Answer::Done;
        let failure = (!self.has_upload).then(|| word_of(answer));
        let is_unsure = std::mem::take(&mut self.has_repeated_create) || failure.is_some_and(|word| word != Word::Denied);
        match failure {
            _ if is_unsure && protocol.looks_for_uploads() => self.step = Step::AbortOthers(failure),
            Some(word) => self.stop(word),
            None => self.send_first(),
        }
    }

    fn send_first(&mut self) {
        self.flying = 0b01;
        self.step = Step::Dump;
    }

    fn send_last(&mut self) {
        if self.is_small {
            self.step = Step::PutDump;
        } else {
            self.flying |= 0b10;
            self.step = Step::AwaitParts;
        }
    }

    /// `Upload::complete_once`, and what `Upload::complete` makes of it.
    fn take_complete(&mut self, answer: Answer, protocol: Protocol) {
        match answer {
            Answer::Done => self.dump_stands(protocol),
            Answer::NoUpload if protocol == Protocol::TrustsNoUpload => self.dump_stands(protocol),
            Answer::NoUpload if protocol == Protocol::LooksForNoDump => self.stop(Word::UploadGone),
            Answer::NoUpload | Answer::Exists => self.step = Step::LookForDump(After::Exists),
            Answer::Silence => self.step = Step::LookForDump(After::Silence),
            Answer::Senseless => self.step = Step::LookForDump(After::Senseless),
            Answer::Refused => self.step = Step::LookForDump(After::Refused),
            other => self.fail(other),
        }
    }

    /// `Upload::exists_already`, and what `Upload::complete` makes of it.
    fn take_dump(&mut self, run: Run, after: After, answer: Answer, protocol: Protocol) {
        match (answer, after) {
            (Answer::Found(content), _) if protocol.compares_dump() && content.by != run => self.stop(Word::Integrity),
            (Answer::Found(content), _) if content.parts.count_ones() != WHOLE.count_ones() => self.stop(Word::Integrity),
            (Answer::Found(_), _) => self.dump_stands(protocol),
            (Answer::Missing, After::Senseless) => self.step = Step::Complete,
            (Answer::Missing, After::Silence) => self.stop(Word::Unavailable),
            (Answer::Missing | Answer::Refused | Answer::Silence, After::Refused) => self.stop(Word::Denied),
            (Answer::Missing, _) => self.stop(Word::UploadGone),
            (Answer::GraceOver, _) => self.stop(Word::Terminated),
            _ if protocol == Protocol::TrustsUnknownDump => self.dump_stands(protocol),
            _ => self.stop(Word::CommitUnknown),
        }
    }

    fn dump_stands(&mut self, protocol: Protocol) {
        self.has_upload = false;
        self.step = match protocol {
            Protocol::ManifestFirst => Step::PutCard,
            _ if protocol.has_key_last() => Step::PutKey,
            _ => Step::PutManifest,
        };
    }

    fn manifest_stands(&mut self, protocol: Protocol) {
        if protocol == Protocol::ManifestFirst {
            self.send_last();
        } else {
            self.step = Step::PutCard;
        }
    }

    /// The end of `Attempt::commit`.
    fn take_manifest(&mut self, run: Run, after: After, answer: Answer, protocol: Protocol) {
        let is_own = matches!(answer, Answer::Found(content) if content.by == run);
        match after {
            _ if is_own => self.manifest_stands(protocol),
            After::Exists if protocol == Protocol::LooksForNoManifest => self.stop(Word::CommitFailed),
            _ if matches!(answer, Answer::Found(_)) => self.stop(Word::AlreadyComplete),
            _ if answer == Answer::Foreign => self.stop(foreign(protocol)),
            After::Exists if protocol == Protocol::TrustsNames => self.stop(Word::AlreadyComplete),
            After::Exists => self.stop(Word::ManifestUnknown),
            After::Cancel => self.stop(Word::OnItsWay),
            After::Silence if answer != Answer::Missing => self.stop(Word::ManifestUnknown),
            _ => self.stop(Word::CommitFailed),
        }
    }

    fn fail(&mut self, answer: Answer) {
        self.stop(word_of(answer));
    }

    /// `Attempt::write_streamed`: on every way out but success the upload is aborted, and the abort awaited.
    pub fn stop(&mut self, word: Word) {
        let said = CommandOutput {
            word,
            is_wrong: false,
            is_unprovoked: !word.is_success() && !self.is_hurt,
            tells_open_upload: false,
        };
        self.step = if self.has_upload { Step::Abort(said) } else { Step::Ended(said) };
    }

    /// What follows without another answer.
    pub fn go_on(&mut self, protocol: Protocol) {
        let is_waiting = matches!(self.step, Step::Dump | Step::AwaitParts);
        if self.is_cancelled && !self.settles() && !self.is_stopping() {
            self.stop(Word::Terminated);
        } else if let (true, Some(word)) = (is_waiting, self.failed_part) {
            self.stop(word);
        } else if self.step == Step::AwaitParts && (self.landed == WHOLE || protocol == Protocol::AwaitsNoParts) {
            self.step = Step::Complete;
        }
        if matches!(self.step, Step::Abort(_)) && protocol == Protocol::NeverAborts {
            let Step::Abort(said) = self.step else { return };
            self.step = Step::Ended(said);
        }
        if self.has_ended() {
            *self = Self {
                step: self.step,
                flying: self.flying,
                ..Self::new(self.is_small)
            };
        }
    }
}

/// What stands under the name is not of this order.
fn foreign(protocol: Protocol) -> Word {
    match protocol {
        Protocol::TrustsNames => Word::AlreadyComplete,
        _ => Word::StemTaken,
    }
}

fn word_of(failure: Answer) -> Word {
    match failure {
        Answer::NoUpload => Word::UploadGone,
        Answer::Silence => Word::Unavailable,
        Answer::GraceOver => Word::Terminated,
        _ => Word::Denied,
    }
}
