//! How long a fleet takes and what it costs, on paper: the table of docs/FLEETS.md.

use crate::backup::{Route, Sizing};
use crate::format::compression::Compression;
use crate::plan::RateLimit;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write;

/// Databases on one server.
const ON_A_SERVER: usize = 25;
/// Dollars for a thousand state transitions (us-east-1, <https://aws.amazon.com/step-functions/pricing/>).
const TRANSITIONS_USD: f64 = 0.025;
/// Of one item: its execution's start, the choice, the work, the end; and of one server, and of all.
const OF_AN_ITEM: usize = 4;
const OF_A_SERVER: usize = 4;
const OF_ALL: usize = 10;
/// A function is warm, a task is provisioned and its image pulled, in seconds.
const FUNCTION_START: u64 = 2;
const TASK_START: u64 = 45;

struct Fleet {
    hours: f64,
    functions: usize,
    tasks: usize,
    compute_usd: f64,
    states_usd: f64,
}

/// Sizes in GB: half of them 1, a third 5, the rest 50.
fn size(place: usize) -> u64 {
    let gigabytes = match place % 6 {
        0..=2 => 1,
        3 | 4 => 5,
        _ => 50,
    };
    gigabytes * 1_000_000_000
}

/// Each server's databases one after the other; so many servers at once, the next when one is done.
fn simulate(databases: usize, servers_at_once: usize) -> Fleet {
    let rate = RateLimit::parse("10M").unwrap().bytes_per_second();
    let servers = databases.div_ceil(ON_A_SERVER);
    let mut fleet = Fleet {
        hours: 0.0,
        functions: 0,
        tasks: 0,
        compute_usd: 0.0,
        states_usd: 0.0,
    };
    let mut free: BinaryHeap<Reverse<u64>> = (0..servers_at_once).map(|_| Reverse(0)).collect();
    let mut end = 0;
    for server in 0..servers {
        let Reverse(mut now) = free.pop().unwrap();
        for place in server * ON_A_SERVER..((server + 1) * ON_A_SERVER).min(databases) {
            let sizing = Sizing::new(size(place), rate, Compression::Bzip2(9));
            let (route, _) = sizing.route(None);
            let (size, start) = match route {
                Route::Lambda => (sizing.lambda.unwrap(), FUNCTION_START),
                Route::Ecs => (sizing.fargate.unwrap(), TASK_START),
            };
            match route {
                Route::Lambda => fleet.functions += 1,
                Route::Ecs => fleet.tasks += 1,
            }
            fleet.compute_usd += size.usd;
            now += start + size.seconds;
        }
        end = end.max(now);
        free.push(Reverse(now));
    }
    fleet.hours = end as f64 / 3600.0;
    fleet.states_usd = (databases * OF_AN_ITEM + servers * OF_A_SERVER + OF_ALL) as f64 / 1000.0 * TRANSITIONS_USD;
    fleet
}

fn table() -> String {
    let mut text =
        "| databases | servers at once | functions | tasks | hours | compute, USD | states, USD |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
    for (databases, at_once) in [(100, 10), (1_000, 10), (1_000, 40), (10_000, 100), (10_000, 400)] {
        let fleet = simulate(databases, at_once);
        let _ = writeln!(
            text,
            "| {databases} | {at_once} | {} | {} | {:.1} | {:.2} | {:.2} |",
            fleet.functions, fleet.tasks, fleet.hours, fleet.compute_usd, fleet.states_usd
        );
    }
    text
}

#[test]
fn the_table_in_the_docs_is_what_the_simulation_says() {
    let docs = include_str!("../../docs/FLEETS.md");
    assert!(docs.contains(&table()), "docs/FLEETS.md should have:\n{}", table());
}

#[test]
fn twice_as_many_servers_at_once_take_half_the_time() {
    let (slow, quick) = (simulate(2_000, 10), simulate(2_000, 20));
    assert!((slow.hours / quick.hours - 2.0).abs() < 0.1, "{} {}", slow.hours, quick.hours);
    assert_eq!((slow.functions, slow.tasks), (quick.functions, quick.tasks));
}
