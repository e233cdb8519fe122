//! The bucket as the protocol sees it: strong reads after writes, `If-None-Match: *` decided at once, and requests that
//! nobody waits for any more.

use std::fmt::Debug;

/// One delivery of the event, and the run whose id its objects bear.
pub type Run = usize;

/// Two at once and one later.
pub const RUNS: usize = 3;

/// Whose manifest it is that nobody who delivers the event wrote: of no order at all.
pub const PLANTED: Run = RUNS;

/// All parts of a dump, one bit each.
pub const WHOLE: u8 = 0b11;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    PutKey,
    PutInventory,
    Create,
    /// Lists the uploads of this key and aborts all but the one whose id is known.
    AbortOthers,
    Part(u8),
    /// With the parts that it lists.
    Complete(u8),
    PutDump,
    PutManifest,
    /// Without `If-None-Match: *`, which only a broken protocol sends.
    OverwriteManifest,
    PutCard,
    Abort,
    HeadManifest,
    HeadDump,
    GetKey,
    GetManifest,
}

/// What may come late, in the order of its bits in `S3::late`.
const WRITES: [Op; 13] = [
    Op::PutKey,
    Op::PutInventory,
    Op::Create,
    Op::Part(0b01),
    Op::Part(0b10),
    Op::Complete(0b01),
    Op::Complete(0b10),
    Op::Complete(WHOLE),
    Op::PutDump,
    Op::PutManifest,
    Op::OverwriteManifest,
    Op::PutCard,
    Op::Abort,
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Done,
    /// 412.
    Exists,
    NoUpload,
    Found(Content),
    /// A manifest that is not of the asker's order.
    Foreign,
    Missing,
    /// 403, or any other refusal that is not worth a retry.
    Refused,
    /// None after all retries that the SDK makes by itself.
    Silence,
    /// A 200 that makes no sense.
    Senseless,
    /// None within the grace that follows a signal or the deadline.
    GraceOver,
}

/// What an object holds: whose bytes, and of a dump which parts. Its size is the number of its parts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Content {
    pub by: Run,
    pub parts: u8,
}

/// The upload whose id its run learned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Upload {
    None,
    Open(u8),
    Completed,
    Aborted,
}

/// The uploads whose ids nobody learned, since the answers to their Create were lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Nameless {
    None,
    Open,
    /// They were looked for. What comes later, or was not to be seen, stays until a lifecycle rule ends it: a known limit.
    LookedFor,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Names {
    /// `pgseal/1`: each run's objects have names of their own.
    OfTheRun,
    /// The legacy format: one name for all runs of an event.
    Shared,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct S3 {
    pub names: Names,
    /// Whether the role may list, and read manifests.
    pub may_look: bool,
    /// Of which order each delivery is: of another source or selection under the same stem, where they differ.
    pub orders: [u8; RUNS],
    /// Whether somebody puts an object of theirs under the manifest's name, at whatever moment nothing stands there.
    pub may_plant: bool,
    pub keys: [Option<Run>; RUNS],
    pub inventories: [bool; RUNS],
    pub dumps: [Option<Content>; RUNS],
    pub uploads: [Upload; RUNS],
    pub nameless: [Nameless; RUNS],
    pub manifest: Option<Run>,
    /// How often a manifest was written, over whatever stood there.
    pub commits: u8,
    pub card: Option<Run>,
    /// Requests without an answer, a bit each: S3 may carry them out at any time, or never.
    late: u64,
}

impl S3 {
    pub fn new(names: Names, may_look: bool, orders: [u8; RUNS], may_plant: bool) -> Self {
        Self {
            names,
            may_look,
            orders,
            may_plant,
            keys: [None; RUNS],
            inventories: [false; RUNS],
            dumps: [None; RUNS],
            uploads: [Upload::None; RUNS],
            nameless: [Nameless::None; RUNS],
            manifest: None,
            commits: 0,
            card: None,
            late: 0,
        }
    }

    /// Where objects of this run stand.
    pub fn name(&self, run: Run) -> usize {
        match self.names {
            Names::OfTheRun => run,
            Names::Shared => 0,
        }
    }

    /// Every object that the manifest of this run names stands, with the bytes that the manifest tells of.
    pub fn is_whole(&self, run: Run) -> bool {
        let name = self.name(run);
        self.keys[name] == Some(run)
            && self.dumps[name] == Some(Content { by: run, parts: WHOLE })
            && (self.inventories[run] || self.names == Names::Shared)
    }

    /// Whether the manifest that stands is of this delivery's very order.
    pub fn is_of_order(&self, run: Run) -> bool {
        self.manifest.is_some_and(|by| by != PLANTED && self.orders[by] == self.orders[run])
    }

    pub fn plant(&mut self) {
        self.may_plant = false;
        self.manifest = Some(PLANTED);
    }

    /// One request from its arrival to its answer. The moment of its effect is the only one that others can see.
    pub fn carry_out(&mut self, run: Run, op: Op) -> Answer {
        let name = self.name(run);
        match op {
            Op::PutKey => put(&mut self.keys[name], run),
            Op::PutCard => put(&mut self.card, run),
            Op::PutDump => put(&mut self.dumps[name], Content { by: run, parts: WHOLE }),
            Op::PutInventory if self.inventories[run] => Answer::Exists,
            Op::PutInventory => {
                self.inventories[run] = true;
                Answer::Done
            }
            Op::PutManifest if self.manifest.is_some() => Answer::Exists,
            Op::PutManifest | Op::OverwriteManifest => {
                self.manifest = Some(run);
                self.commits += 1;
                Answer::Done
            }
            Op::Create => {
                self.uploads[run] = Upload::Open(0);
                Answer::Done
            }
            Op::AbortOthers => {
                self.nameless[run] = Nameless::LookedFor;
                Answer::Done
            }
            Op::Part(part) => self.upload(run, |open| (Upload::Open(open | part), Answer::Done)),
            Op::Complete(listed) => {
                let there = self.dumps[name];
                let mut made = None;
                let answer = self.upload(run, |open| match there {
                    Some(_) => (Upload::Open(open), Answer::Exists),
                    None if listed == 0 || open & listed != listed => (Upload::Open(open), Answer::Refused),
                    None => {
                        made = Some(Content { by: run, parts: listed });
                        (Upload::Completed, Answer::Done)
                    }
                });
                self.dumps[name] = there.or(made);
                answer
            }
            Op::Abort => self.upload(run, |_| (Upload::Aborted, Answer::Done)),
            _ if !self.may_look => Answer::Refused,
            Op::HeadManifest | Op::GetManifest if self.manifest.is_some() && !self.is_of_order(run) => Answer::Foreign,
            Op::HeadManifest | Op::GetManifest => found(self.manifest.map(|by| Content { by, parts: WHOLE })),
            Op::GetKey => found(self.keys[name].map(|by| Content { by, parts: WHOLE })),
            Op::HeadDump => found(self.dumps[name]),
        }
    }

    /// `NoSuchUpload` unless it is open.
    fn upload(&mut self, run: Run, then: impl FnOnce(u8) -> (Upload, Answer)) -> Answer {
        let Upload::Open(parts) = self.uploads[run] else {
            return Answer::NoUpload;
        };
        let (after, answer) = then(parts);
        self.uploads[run] = after;
        answer
    }

    /// Its sender waits no more; it may arrive all the same.
    pub fn send_late(&mut self, run: Run, op: Op) {
        self.late |= bit(run, op).unwrap_or_default();
    }

    pub fn late(&self) -> impl Iterator<Item = (Run, Op)> + use<> {
        let mut late = self.late;
        std::iter::from_fn(move || {
            let bit = (late != 0).then(|| late.trailing_zeros() as usize)?;
            late &= late - 1;
            Some((bit / WRITES.len(), WRITES[bit % WRITES.len()]))
        })
    }

    pub fn is_late(&self, run: Run, op: Op) -> bool {
        is_in(self.late, run, op)
    }

    pub fn carry_out_late(&mut self, run: Run, op: Op) {
        self.forget(run, op);
        match (op, self.nameless[run]) {
            (Op::Create, Nameless::None) => self.nameless[run] = Nameless::Open,
            (Op::Create, _) => {}
            _ => {
                self.carry_out(run, op);
            }
        }
    }

    /// Forgets the late requests that can change nothing ever more, since nobody deletes an object or opens an upload
    /// again: states that differ in them only are one.
    pub fn forget_spent(&mut self) {
        for (run, op) in self.late() {
            let spent = match op {
                Op::Create => self.nameless[run] != Nameless::None,
                Op::Part(part) => !matches!(self.uploads[run], Upload::Open(parts) if parts & part == 0),
                Op::Complete(_) => !matches!(self.uploads[run], Upload::Open(_)) || self.dumps[self.name(run)].is_some(),
                Op::Abort => !matches!(self.uploads[run], Upload::Open(_)),
                Op::OverwriteManifest => false,
                _ => { *self }.carry_out(run, op) == Answer::Exists,
            };
            if spent {
                self.forget(run, op);
            }
        }
    }

    /// Forgets the small objects of a run that is over and has no manifest nor will have one. Their names are its own:
    /// nobody comes to read them.
    pub fn bury(&mut self, run: Run) {
        self.keys[run] = None;
        self.inventories[run] = false;
        for op in [Op::PutKey, Op::PutInventory, Op::PutDump] {
            self.forget(run, op);
        }
    }

    /// Nobody is left who would look for such an upload.
    pub fn bury_nameless(&mut self, run: Run) {
        self.nameless[run] = Nameless::LookedFor;
        self.forget(run, Op::Create);
    }

    fn forget(&mut self, run: Run, op: Op) {
        self.late &= !bit(run, op).unwrap_or_default();
    }

    pub fn delete_key(&mut self, run: Run) {
        self.keys[self.name(run)] = None;
    }

    pub fn delete_all_of(&mut self, run: Run) {
        self.delete_key(run);
        self.inventories[run] = false;
        self.dumps[self.name(run)] = None;
    }
}

/// `If-None-Match: *`.
fn put<T>(place: &mut Option<T>, content: T) -> Answer {
    if place.is_some() {
        return Answer::Exists;
    }
    *place = Some(content);
    Answer::Done
}

fn found(content: Option<Content>) -> Answer {
    content.map_or(Answer::Missing, Answer::Found)
}

/// `None` for a read, which leaves nothing behind, and for what the end of the wait decides.
fn bit(run: Run, op: Op) -> Option<u64> {
    let place = WRITES.iter().position(|write| *write == op)?;
    Some(1 << (run * WRITES.len() + place))
}

fn is_in(late: u64, run: Run, op: Op) -> bool {
    bit(run, op).is_some_and(|bit| late & bit != 0)
}
