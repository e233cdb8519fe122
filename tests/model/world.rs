//! Every order in which deliveries, S3 and mishaps can act, up to a number of faults.

use crate::delivery::Delivery;
use crate::protocol::Protocol;
use crate::s3::{Answer, Nameless, Names, Op, RUNS, Run, S3, Upload};
use crate::step::{CommandOutput, Step, Word};
use stateright::{Model, Property};

/// What is checked: this protocol, with at most so many faults on each path.
#[derive(Clone)]
pub struct World {
    pub protocol: Protocol,
    pub faults: u8,
    pub operator: Operator,
}

/// Who deletes what the hint of an error says may be deleted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Nobody,
    /// `commit_failed`: "the objects of the run named here may be deleted once `pgseal list` shows no backup of that
    /// run", when all is quiet.
    DeletesRun,
    /// The key that an earlier run of the legacy format left, when all is quiet and no manifest stands.
    DeletesKey,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    pub s3: S3,
    pub deliveries: [Delivery; RUNS],
    pub faults_left: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// S3 carries out what the delivery waits for, and the answer arrives.
    Answer(Run),
    AnswerPart(Run, u8),
    /// `pg_dump` ends.
    EndDump(Run),
    /// S3 carries out a request that nobody waits for any more.
    CarryOut(Run, Op),
    /// The grace after a signal is over before the answer is there.
    EndGrace(Run),
    /// An operator deletes what an error says may be deleted.
    FollowHint(Run),
    /// Somebody puts an object under the manifest's name.
    Plant,

    // Each of these is a fault.
    /// 403, or another refusal that the SDK does not retry.
    Refuse(Run),
    RefusePart(Run, u8),
    /// No answer. The request is carried out at once (a lost answer), later (a late or reordered one), or never (a lost
    /// request). The SDK tries again, so that it may be carried out twice, or gives up.
    Silence(Run, Then),
    SilencePart(Run, u8, Then),
    /// A 200 that makes no sense, after the deed or without it.
    Senseless(Run),
    /// A signal or the deadline.
    Cancel(Run),
    /// SIGKILL: whatever is on its way may still be carried out.
    Crash(Run),
    /// A lifecycle rule or a person aborts the upload.
    ForeignAbort(Run),
}

/// Where the paths begin.
#[derive(Clone, Copy)]
struct Kind {
    is_small: bool,
    may_look: bool,
    orders: [u8; RUNS],
    may_plant: bool,
}

/// One order delivered three times, with dumps and rights of each kind; then orders that differ, and a planted object, which
/// add nothing to what a large dump meets.
const KINDS: [Kind; 9] = [
    kind(false, true, ALIKE, false),
    kind(false, false, ALIKE, false),
    kind(true, true, ALIKE, false),
    kind(true, false, ALIKE, false),
    kind(true, true, [0, 1, 0], false),
    kind(true, true, [0, 1, 1], false),
    kind(true, true, [0, 0, 1], false),
    kind(true, false, [0, 1, 0], false),
    kind(true, true, ALIKE, true),
];

const ALIKE: [u8; RUNS] = [0; RUNS];

const fn kind(is_small: bool, may_look: bool, orders: [u8; RUNS], may_plant: bool) -> Kind {
    Kind {
        is_small,
        may_look,
        orders,
        may_plant,
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    Again,
    GivesUp,
}

impl State {
    fn new(world: &World, kind: Kind) -> Self {
        let Kind {
            is_small,
            may_look,
            orders,
            may_plant,
        } = kind;
        Self {
            s3: S3::new(world.protocol.names(), may_look, orders, may_plant),
            deliveries: [Delivery::new(is_small); RUNS],
            faults_left: world.faults,
        }
    }

    fn has_begun(&self, run: Run) -> bool {
        self.deliveries[run].step != Step::Look
    }

    fn runs(&self, run: Run) -> bool {
        self.has_begun(run) && !self.deliveries[run].has_ended()
    }

    /// Two at once, and a third when one of them has ended. Their numbers are given in the order in which they begin.
    fn may_act(&self, run: Run) -> bool {
        match run {
            0 => true,
            1 => self.has_begun(0),
            _ => self.has_begun(1) && self.deliveries[..2].iter().any(Delivery::has_ended),
        }
    }

    pub fn said(&self) -> impl Iterator<Item = (Run, CommandOutput)> {
        self.deliveries.iter().enumerate().filter_map(|(run, it)| Some((run, it.said()?)))
    }

    fn follow_hint(&self, run: Run, operator: Operator) -> Option<S3> {
        let is_quiet = || !(0..RUNS).any(|run| self.runs(run)) && self.s3.late().next().is_none();
        let mut s3 = self.s3;
        match (operator, self.deliveries[run].said()?.word) {
            (Operator::DeletesRun, Word::CommitFailed) if s3.manifest != Some(run) && is_quiet() => s3.delete_all_of(run),
            (Operator::DeletesKey, Word::KeyExists) if s3.manifest.is_none() && is_quiet() => s3.delete_key(run),
            _ => return None,
        }
        (s3 != self.s3).then_some(s3)
    }
}

impl World {
    pub fn new(protocol: Protocol, faults: u8) -> Self {
        Self {
            protocol,
            faults,
            operator: Operator::Nobody,
        }
    }

    pub fn with(self, operator: Operator) -> Self {
        Self { operator, ..self }
    }

    fn faults_of(&self, state: &State, run: Run, actions: &mut Vec<Action>) {
        let delivery = &state.deliveries[run];
        let request = delivery.request(self.protocol);
        if request.is_some() {
            actions.extend([
                Action::Refuse(run),
                Action::Silence(run, Then::Again),
                Action::Silence(run, Then::GivesUp),
            ]);
        }
        for part in parts(delivery.flying) {
            actions.extend([
                Action::RefusePart(run, part),
                Action::SilencePart(run, part, Then::Again),
                Action::SilencePart(run, part, Then::GivesUp),
            ]);
        }
        if delivery.step == Step::Complete {
            actions.push(Action::Senseless(run));
        }
        if !delivery.is_cancelled && !delivery.is_stopping() {
            actions.push(Action::Cancel(run));
        }
        actions.push(Action::Crash(run));
    }

    /// No answer to what the delivery waits for.
    fn silence(&self, state: &mut State, run: Run) {
        if let Some(op) = state.deliveries[run].request(self.protocol) {
            state.s3.send_late(run, op);
        }
    }

    fn take(&self, state: &mut State, run: Run, answer: Answer) {
        if matches!(state.deliveries[run].step, Step::AbortOthers(_)) {
            state.s3.nameless[run] = Nameless::LookedFor;
        }
        state.deliveries[run].take(run, answer, self.protocol);
    }

    fn act(&self, state: &mut State, action: Action) {
        match action {
            Action::Answer(run) => {
                if let Some(op) = state.deliveries[run].request(self.protocol) {
                    let answer = state.s3.carry_out(run, op);
                    self.take(state, run, answer);
                }
            }
            Action::AnswerPart(run, part) => {
                let answer = state.s3.carry_out(run, Op::Part(part));
                state.deliveries[run].take_part(part, answer);
            }
            Action::EndDump(run) => state.deliveries[run].end_dump(self.protocol),
            Action::CarryOut(run, op) => state.s3.carry_out_late(run, op),
            Action::EndGrace(run) => {
                self.silence(state, run);
                self.take(state, run, Answer::GraceOver);
            }
            Action::FollowHint(run) => state.s3 = state.follow_hint(run, self.operator).unwrap_or(state.s3),
            Action::Plant => state.s3.plant(),
            Action::Refuse(run) => self.take(state, run, Answer::Refused),
            Action::RefusePart(run, part) => state.deliveries[run].take_part(part, Answer::Refused),
            Action::Silence(run, then) => {
                self.silence(state, run);
                let delivery = &mut state.deliveries[run];
                match then {
                    Then::Again => delivery.has_repeated_create |= delivery.step == Step::Create,
                    Then::GivesUp => self.take(state, run, Answer::Silence),
                }
            }
            Action::SilencePart(run, part, then) => {
                state.s3.send_late(run, Op::Part(part));
                if then == Then::GivesUp {
                    state.deliveries[run].take_part(part, Answer::Silence);
                }
            }
            Action::Senseless(run) => {
                self.silence(state, run);
                self.take(state, run, Answer::Senseless);
            }
            Action::Cancel(run) => {
                if !state.deliveries[run].settles() {
                    self.silence(state, run);
                }
                state.deliveries[run].is_cancelled = true;
            }
            Action::Crash(run) => {
                self.silence(state, run);
                state.deliveries[run].step = Step::Crashed;
            }
            Action::ForeignAbort(run) => state.s3.uploads[run] = Upload::Aborted,
        }
    }

    /// Whom it hurts, if it is a fault.
    fn victim(action: Action) -> Option<Run> {
        match action {
            Action::Answer(_)
            | Action::AnswerPart(..)
            | Action::EndDump(_)
            | Action::CarryOut(..)
            | Action::EndGrace(_)
            | Action::FollowHint(_)
            | Action::Plant => None,
            Action::Refuse(run)
            | Action::RefusePart(run, _)
            | Action::Silence(run, _)
            | Action::SilencePart(run, ..)
            | Action::Senseless(run)
            | Action::Cancel(run)
            | Action::Crash(run)
            | Action::ForeignAbort(run) => Some(run),
        }
    }

    /// After each action: what follows by itself, and what was true when something was said.
    fn settle(&self, before: &State, state: &mut State) {
        for run in 0..RUNS {
            let delivery = &mut state.deliveries[run];
            delivery.go_on(self.protocol);
            if delivery.is_stopping() {
                for part in parts(delivery.flying) {
                    state.s3.send_late(run, Op::Part(part));
                }
                delivery.flying = 0;
            }
            if let (false, Step::Abort(said) | Step::Ended(said)) = (before.deliveries[run].is_stopping(), &mut delivery.step) {
                said.is_wrong = match said.word {
                    Word::UploadGone => state.s3.dumps[state.s3.name(run)].is_some_and(|dump| dump.by == run),
                    Word::CommitFailed => state.s3.manifest == Some(run),
                    _ => false,
                };
            }
        }
        if self.operator != Operator::Nobody {
            return;
        }
        state.s3.forget_spent();
        for run in 0..RUNS {
            let is_over = state.deliveries[run].has_ended() && self.protocol.names() == Names::OfTheRun;
            if is_over && state.s3.manifest != Some(run) && !state.s3.is_late(run, Op::PutManifest) {
                state.s3.bury(run);
                if state.deliveries[run].step == Step::Crashed {
                    state.s3.bury_nameless(run);
                }
            }
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        KINDS.map(|kind| State::new(self, kind)).to_vec()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for run in 0..RUNS {
            let delivery = &state.deliveries[run];
            if state.follow_hint(run, self.operator).is_some() {
                actions.push(Action::FollowHint(run));
            }
            if state.faults_left > 0 && matches!(state.s3.uploads[run], Upload::Open(_)) {
                actions.push(Action::ForeignAbort(run));
            }
            if delivery.has_ended() || !state.may_act(run) {
                continue;
            }
            if delivery.request(self.protocol).is_some() {
                actions.push(Action::Answer(run));
            }
            actions.extend(parts(delivery.flying).map(|part| Action::AnswerPart(run, part)));
            if delivery.step == Step::Dump {
                actions.push(Action::EndDump(run));
            }
            if delivery.is_cancelled && delivery.settles() {
                actions.push(Action::EndGrace(run));
            }
            if state.faults_left > 0 {
                self.faults_of(state, run, actions);
            }
        }
        if state.s3.may_plant && state.s3.manifest.is_none() {
            actions.push(Action::Plant);
        }
        actions.extend(state.s3.late().map(|(run, op)| Action::CarryOut(run, op)));
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = *before;
        if let Some(run) = Self::victim(action) {
            state.faults_left -= 1;
            state.deliveries[run].is_hurt = true;
        }
        self.act(&mut state, action);
        self.settle(before, &mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        crate::properties::of(self.protocol, self.faults)
    }
}

fn parts(bits: u8) -> impl Iterator<Item = u8> {
    [0b01, 0b10].into_iter().filter(move |part| bits & part != 0)
}
