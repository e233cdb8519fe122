//! Random changes to larger backups, as an accident or somebody who may write to the bucket would make them. Each is made
//! from a number alone: the number in a failure's message makes it again.

use super::sealed::{Made, NEWER, OLDER, Objects, Order, Reader, dump, is_found, key};
use bytes::Bytes;
use pgseal::error::Code;
use pgseal::format::compression::Compression;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many; `make mutations` asks for more.
const COUNT: &str = "TESTBED_MUTATIONS";
/// The number of a single one, to look at it again.
const ONLY: &str = "TESTBED_MUTATION";
const USUAL: u64 = 50_000;
const THREADS: usize = 2;

#[test]
fn none_of_many_goes_unseen() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let numbers = match number(ONLY) {
        Some(only) => only..only + 1,
        None => 0..number(COUNT).unwrap_or(USUAL),
    };
    let pairs = [
        Pair::new(Compression::None),
        Pair::new(Compression::Zstd(3)),
        Pair::new(Compression::Bzip2(1)),
    ];
    let next = AtomicU64::new(numbers.start);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let reader = Reader::new(key("recipient-a"));
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        break;
                    }
                    // Decompression is what takes time: most changes show what they have to without it.
                    let pair = match number % 64 {
                        0 => &pairs[2],
                        1..16 => &pairs[1],
                        _ => &pairs[0],
                    };
                    check(&reader, pair, number);
                }
            });
        }
    });
    assert!(next.into_inner() >= numbers.end);
}

/// Two backups of the same database for the same key, and, which a writer never does, under the same secret: what tells
/// them apart are hashes alone.
struct Pair {
    newer: Made,
    older: Made,
}

impl Pair {
    fn new(compression: Compression) -> Self {
        let seal = |time, rows| {
            let order = Order {
                compression,
                time,
                part: Some(if compression == Compression::None { 4096 } else { 1024 }),
                keys: vec![key("recipient-a"), key("recipient-b")],
                ..Order::default()
            };
            order.seal(&dump(rows))
        };
        let pair = Self {
            newer: seal(NEWER, 2400),
            older: seal(OLDER, 2300),
        };
        assert!(pair.newer.parts.len() > 2 && pair.older.parts.len() > 2);
        pair
    }
}

fn check(reader: &Reader, pair: &Pair, number: u64) {
    let mut random = Random(number);
    let mut objects = pair.newer.objects.clone();
    let mut stem = pair.newer.stem.clone();
    let mut what = "";
    // Some changes change nothing, such as a swap of a range with itself.
    while objects == pair.newer.objects && stem == pair.newer.stem {
        what = mutate(&mut random, pair, &mut objects, &mut stem);
    }
    let told = || format!("{ONLY}={number} ({what})");
    match reader.verify(&objects, &stem) {
        Ok(_) => panic!("{}: not found", told()),
        // Without its manifest there is no backup.
        Err(error) if error.code == Code::NoBackup => {
            assert!(!objects.contains_key(&format!("{stem}.manifest.jsonl")), "{}: {error:?}", told());
        }
        Err(error) => assert!(is_found(&error), "{}: {error:?}", told()),
    }
    let at = first_difference(&pair.newer.objects, &objects, &pair.newer.dump);
    if at.is_none() && !number.is_multiple_of(8) {
        // Both ways open a backup alike before they come to its dump.
        return;
    }
    let (released, done) = reader.decrypt(&objects, &stem);
    if done.is_ok() {
        assert!(at.is_none() && released == pair.newer.plain, "{}: other bytes came out", told());
        return;
    }
    assert!(pair.newer.plain.starts_with(&released), "{}: other bytes came out", told());
    if let Some(at) = at {
        let part = pair.newer.parts.iter().rposition(|start| *start <= at).unwrap_or_default();
        let before = pair.newer.parts[part].saturating_sub(16);
        let plain = pair.newer.dump.ends_with(".sql.enc");
        assert!(!plain || released.len() <= before, "{}: {} bytes came out", told(), released.len());
    }
}

fn first_difference(good: &Objects, bad: &Objects, name: &str) -> Option<usize> {
    let (good, bad) = (&good[name], bad.get(name)?);
    let same = good.iter().zip(bad).take_while(|(a, b)| a == b).count();
    (same < good.len() || same < bad.len()).then_some(same)
}

/// One change; gives its kind.
fn mutate(random: &mut Random, pair: &Pair, objects: &mut Objects, stem: &mut String) -> &'static str {
    let name = one_of(random, objects);
    let body = objects[&name].to_vec();
    // The other backup's object of the same role.
    let other = pair.older.objects.iter().find(|(other, _)| role(other) == role(&name));
    let other = other.map(|(_, body)| body.to_vec()).unwrap_or_default();
    let mut put = |body: Vec<u8>| {
        objects.insert(name.clone(), Bytes::from(body));
    };
    match random.below(16) {
        0..3 => {
            put(flipped(random, body));
            "flip"
        }
        3 => {
            put(overwritten(random, body));
            "overwrite"
        }
        4 => {
            put(swapped(random, body));
            "swap"
        }
        5 => {
            put(duplicated(random, body));
            "duplicate"
        }
        6 => {
            let mut body = body;
            body.drain(random.range(body.len()));
            put(body);
            "cut out"
        }
        7 => {
            let mut body = body;
            body.truncate(random.below(body.len()));
            put(body);
            "truncate"
        }
        8 => {
            let more = 1 + random.below(40);
            put([body, random.bytes(more)].concat());
            "extend"
        }
        9 => {
            put(spliced(random, body, &other));
            "splice"
        }
        10 => {
            put(other);
            "roll one object back"
        }
        11 => {
            roll_back(random, pair, objects);
            "roll several objects back"
        }
        12 => {
            let to = one_of(random, objects);
            let there = objects.insert(to, objects[&name].clone());
            objects.insert(name, there.unwrap_or_default());
            "exchange two names"
        }
        13 => {
            objects.remove(&name);
            "remove"
        }
        14 => {
            rename(random, objects, stem);
            "rename"
        }
        _ => {
            let manifest = objects[&pair.newer.manifest].to_vec();
            let edited = edited(random, manifest, &pair.older.objects[&pair.older.manifest]);
            objects.insert(pair.newer.manifest.clone(), Bytes::from(edited));
            "edit the manifest"
        }
    }
}

/// Half of all changes meet the dump. Not the recovery instructions: no one needs it but a reader without this program.
fn one_of(random: &mut Random, objects: &Objects) -> String {
    let names: Vec<&String> = objects.keys().filter(|name| !name.ends_with(".RECOVER.md")).collect();
    let dump = names.iter().find(|name| name.contains(".sql"));
    match dump {
        Some(dump) if random.below(2) == 0 => (*dump).clone(),
        _ => names[random.below(names.len())].clone(),
    }
}

/// What an object's name says behind its stem and run.
fn role(name: &str) -> &str {
    let rest = name.split_once('.').map_or("", |(_, rest)| rest);
    match rest.split_once('.') {
        Some((run, role)) if run.len() == 8 && run != "manifest" => role,
        _ => rest,
    }
}

fn flipped(random: &mut Random, mut body: Vec<u8>) -> Vec<u8> {
    for _ in 0..1 + random.below(3) {
        let bit = random.below(8 * body.len());
        body[bit / 8] ^= 1 << (bit % 8);
    }
    body
}

fn overwritten(random: &mut Random, mut body: Vec<u8>) -> Vec<u8> {
    let range = random.range(body.len());
    let bytes = random.bytes(range.len());
    body[range].copy_from_slice(&bytes);
    body
}

/// Two ranges of the same length: blocks of the cipher, or whole parts, as often as any other bytes.
fn swapped(random: &mut Random, mut body: Vec<u8>) -> Vec<u8> {
    let unit = random.unit();
    let units = body.len() / unit;
    if units < 2 {
        return body;
    }
    let (a, b) = (unit * random.below(units), unit * random.below(units));
    for n in 0..unit {
        body.swap(a + n, b + n);
    }
    body
}

fn duplicated(random: &mut Random, mut body: Vec<u8>) -> Vec<u8> {
    let unit = random.unit();
    let units = (body.len() / unit).max(1);
    let from = unit * random.below(units);
    let copy = body[from..body.len().min(from + unit)].to_vec();
    let to = unit * random.below(units);
    let replaced = if random.below(2) == 0 { copy.len() } else { 0 };
    body.splice(to..body.len().min(to + replaced), copy);
    body
}

/// The beginning of the one and the end of the other, or one piece of the other in the middle.
fn spliced(random: &mut Random, mut body: Vec<u8>, other: &[u8]) -> Vec<u8> {
    let unit = random.unit();
    let units = (body.len().min(other.len()) / unit).max(1);
    let from = (unit * random.below(units)).min(other.len());
    if random.below(2) == 0 {
        body.truncate(from);
        body.extend_from_slice(&other[from..]);
    } else {
        let to = (from + unit).min(body.len()).min(other.len());
        body[from..to].copy_from_slice(&other[from..to]);
    }
    body
}

/// Yesterday's objects under today's names.
fn roll_back(random: &mut Random, pair: &Pair, objects: &mut Objects) {
    let all = random.below(4) == 0;
    for (name, body) in objects.iter_mut() {
        let older = pair.older.objects.iter().find(|(older, _)| role(older) == role(name));
        if let Some((_, older)) = older
            && (all || random.below(2) == 0)
        {
            *body = older.clone();
        }
    }
}

/// All of the set under another time or another database.
fn rename(random: &mut Random, objects: &mut Objects, stem: &mut String) {
    let (from, to) = match random.below(3) {
        0 => ("20261124T020000Z", "20261125T020000Z"),
        1 => ("app_", "apq_"),
        _ => ("app_", "App_"),
    };
    *objects = std::mem::take(objects)
        .into_iter()
        .map(|(name, body)| (name.replace(from, to), body))
        .collect();
    *stem = stem.replace(from, to);
}

/// As a person with an editor would.
fn edited(random: &mut Random, manifest: Vec<u8>, other: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(manifest).expect("JSON");
    let (first, second) = text.split_once('\n').expect("two lines");
    let (_, other) = std::str::from_utf8(other).expect("JSON").split_once('\n').expect("two lines");
    let digit = |random: &mut Random| random.below(10).to_string();
    let edited = match random.below(11) {
        0 => format!("{first}\n{other}"),
        1 => format!("{first}\n"),
        2 => format!("{second}{first}\n"),
        3 => format!("{first}\n{second}{second}"),
        4 => format!("{first}\n{}", second.to_uppercase()),
        5 => format!("{first}\r\n{second}"),
        6 => text.replacen("\"rows\":", &format!("\"rows\":{},\"rows\":", random.below(9000)), 1),
        7 => format!("{{\"x\":{},{}\n{second}", digit(random), &first[1..]),
        8 => text.replacen("\"iterations\":1", &format!("\"iterations\":1{}", digit(random)), 1),
        9 => text.replacen("\"plain_bytes\":", &format!("\"plain_bytes\":{}", 1 + random.below(9)), 1),
        _ => format!("{first}\n{{\"mac\":\"hmac-sha256:{}\"}}\n", pgseal::format::hex(&random.bytes(32))),
    };
    edited.into_bytes()
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// At least one byte, and mostly few.
    fn range(&mut self, size: usize) -> Range<usize> {
        let start = self.below(size);
        let longest = if self.below(4) == 0 { size - start } else { 64.min(size - start) };
        start..start + 1 + self.below(longest)
    }

    fn unit(&mut self) -> usize {
        match self.below(3) {
            0 => 16,
            1 => 4096,
            _ => 1 + self.below(300),
        }
    }
}
