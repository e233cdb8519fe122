//! Ends that no program can prepare for, at every moment there is: what stands afterwards is a whole backup or none, and
//! the same event then succeeds.

mod deadlines;
mod kills;
mod signals;
mod twins;

use crate::support::fault_proxy::{Fault, FaultProxy, Rule};
use crate::support::invariants::{clients_of, event, key_pair, no_login};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::Server;
use crate::support::s3::{Bucket, EmbeddedS3};
use crate::support::wait::until;
use pgseal::envelope::manifest::{UnverifiedManifest, base_name};
use pgseal::format::Sha256;
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

/// A database whose dump goes out in two parts, and an S3 server. Each trial takes a bucket of its own.
struct Fixture {
    server: Server,
    s3: EmbeddedS3,
    private_key: PathBuf,
    public_key: String,
    _keys: tempfile::TempDir,
    /// How long the last whole backup took: the machine may be busier at one time than at another.
    length: Cell<Duration>,
    /// The calls that one makes.
    calls: usize,
}

impl Fixture {
    fn new() -> Self {
        let server = Server::start();
        server.create_app("create table wide as select i, repeat('x', 1000) as x from generate_series(1, 6000) as i");
        let keys = tempfile::tempdir().expect("a temporary folder");
        let (private_key, public_key) = key_pair(keys.path());
        let mut fixture = Self {
            server,
            s3: EmbeddedS3::start(),
            private_key,
            public_key,
            _keys: keys,
            length: Cell::default(),
            calls: 0,
        };
        let bucket = fixture.s3.bucket();
        let proxy = FaultProxy::before(&bucket, []);
        fixture.timed(fixture.backup(&bucket).envs(proxy.env())).complete();
        fixture.calls = proxy.seen().len();
        fixture
    }

    /// Runs a backup that nothing disturbs.
    fn timed(&self, backup: Pgseal) -> CommandOutput {
        let begun = Instant::now();
        let said = backup.run();
        self.length.set(begun.elapsed());
        said
    }

    fn event(&self, bucket: &Bucket) -> Value {
        let mut event = event(&self.server, "app", bucket);
        event["compression"] = json!("none");
        event["public_key"] = json!(self.public_key);
        event["scheduled_time"] = json!("2026-11-24T02:00:00Z");
        event
    }

    fn backup(&self, bucket: &Bucket) -> Pgseal {
        Pgseal::backup(&self.event(bucket)).envs(bucket.env()).envs(self.server.env())
    }

    /// Invariant 1, whatever happened; gives whether there is a backup.
    fn whole_or_invisible(&self, bucket: &Bucket) -> bool {
        let keys = bucket.keys();
        let manifests: Vec<_> = keys.iter().filter(|key| key.ends_with(".manifest.jsonl")).collect();
        assert!(manifests.len() <= 1, "{keys:?}");
        for name in &manifests {
            let found = UnverifiedManifest::parse(base_name(name), &bucket.get(name)).expect("a whole manifest");
            let objects = &found.unproven().objects;
            assert!(objects.len() >= 3, "{objects:?}");
            for object in objects {
                assert!(keys.contains(&object.key), "{} is named and not there", object.key);
                let bytes = bucket.get(&object.key);
                assert_eq!((bytes.len() as u64, Sha256::digest(&bytes)), (object.size, object.sha256));
            }
        }
        !manifests.is_empty()
    }

    /// The same event once more: it ends well, with one backup that its key proves to the last byte.
    fn then_it_succeeds(&self, bucket: &Bucket, stands: bool) {
        // One that finds all done is no measure.
        let backup = self.backup(bucket);
        let said = if stands { backup.run() } else { self.timed(backup) };
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
        let receipt = said.receipt();
        let expected = if stands { "already_complete" } else { "complete" };
        assert_eq!(receipt["backups"][0]["status"], expected, "{receipt}");
        assert!(self.whole_or_invisible(bucket));
        let place = format!("s3://{}/backups/app_20261124T020000Z", bucket.name);
        let key = self.private_key.to_str().expect("UTF-8");
        let verified = Pgseal::new(&["verify", &place, "--key", key]).envs(bucket.env()).run();
        assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
        assert_eq!(verified.receipt()["rows"], 6000);
    }

    /// A killed program takes its child with it; the kernel and the server need a moment for that.
    fn nobody_left(&self) {
        until("no child outlives the run", || clients_of(&self.server).is_empty());
        no_login(&self.server);
    }
}

/// The promise is 10 s, of a machine that is not busy. What is not heard at all takes the minute that S3 has for an answer.
const SOON: Duration = Duration::from_secs(45);

/// When a run is struck.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// While its call of this number is on the way, and carried out or not.
    Call { number: usize, carried_out: bool },
    /// When this part of the usual time is over.
    Part(f64),
}

impl Moment {
    /// Each call of a run of so many before and after it was carried out, then random times, `count` in all.
    fn several(calls: usize, count: usize) -> impl Iterator<Item = Self> {
        let call = |number| [false, true].map(|carried_out| Self::Call { number, carried_out });
        (0..calls).flat_map(call).chain(Self::parts().map(Self::Part)).take(count)
    }

    /// Without end, from the beginning of a run to a little after its end; the same every time.
    fn parts() -> impl Iterator<Item = f64> {
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        std::iter::repeat_with(move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            1.1 * (random >> 11) as f64 / (1_u64 << 53) as f64
        })
    }

    /// Starts a run and gives it when the moment has come, or when it has ended before.
    fn of(self, fixture: &Fixture, bucket: &Bucket) -> (Child, FaultProxy) {
        let rule = match self {
            Self::Call { number, carried_out } => {
                let fault = if carried_out { Fault::SilenceAfter } else { Fault::Silence };
                Some(Rule::any().after(number).times(1).then(fault))
            }
            Self::Part(_) => None,
        };
        let proxy = FaultProxy::before(bucket, rule);
        let begun = Instant::now();
        let mut child = fixture.backup(bucket).envs(proxy.env()).spawn();
        let come = || match self {
            Self::Call { .. } => proxy.is_silent(),
            Self::Part(part) => begun.elapsed() >= fixture.length.get().mul_f64(part),
        };
        while !come() && child.try_wait().expect("a child").is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        (child, proxy)
    }
}

/// Walks so many moments, some side by side on grounds of their own: a trial waits more than it works.
fn at_moments<T: Send>(count: usize, trial: impl Fn(&Fixture, Moment) -> T + Sync) -> Vec<T> {
    const SIDE_BY_SIDE: usize = 4;
    let walk = |first| {
        let fixture = Fixture::new();
        let moments = Moment::several(fixture.calls, count).skip(first).step_by(SIDE_BY_SIDE);
        moments.map(|moment| trial(&fixture, moment)).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let walks: Vec<_> = (0..SIDE_BY_SIDE).map(|first| scope.spawn(move || walk(first))).collect();
        walks.into_iter().flat_map(|walk| walk.join().expect("no trial failed")).collect()
    })
}

/// How many trials a variable asks for.
fn asked(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("a number"))
}
