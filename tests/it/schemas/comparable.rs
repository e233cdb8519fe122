//! Dumps of the same database before and after a restore differ where SQL promises nothing, no matter who restores:
//!
//! - Rows stand in no order. After updates, or where a wide row did not fit into the page that was being filled, they
//!   lie elsewhere in the table that a restore fills anew, and `pg_dump` reads them as they lie.
//! - A column that a parent got after its child is the child's last one, until a restore makes the child from its parent
//!   and puts it among the parent's columns.
//!
//! PostgreSQL's own test of dump and restore adjusts the second, table by table
//! (`src/test/perl/PostgreSQL/Test/AdjustDump.pm`, since 18). Everything else has to be equal to the byte.

/// Asserts that two dumps are of the same database.
pub fn assert_equal(one: &[u8], other: &[u8]) {
    let (one, other) = (comparable(one), comparable(other));
    let place = one.iter().zip(&other).position(|(a, b)| a != b);
    let lengths_differ = (one.len() != other.len()).then(|| one.len().min(other.len()));
    if let Some(place) = place.or(lengths_differ) {
        let line = |lines: &[Vec<u8>]| String::from_utf8_lossy(lines.get(place).map_or(b"", Vec::as_slice)).into_owned();
        panic!("different, such as:\n{:.500}\n{:.500}", line(&one), line(&other));
    }
}

/// The lines of a dump, with rows, the columns of rows, and the columns of children in order, and without random keys.
fn comparable(dump: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = dump.split(|byte| *byte == b'\n').peekable();
    let mut all = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with(b"\\restrict ") || line.starts_with(b"\\unrestrict ") {
            continue;
        }
        if let Some((head, columns)) = copy(line) {
            let places = sorted_places(&columns);
            let mut rows: Vec<_> = lines
                .by_ref()
                .take_while(|line| *line != b"\\.")
                .map(|row| reordered(&row.split(|byte| *byte == b'\t').collect::<Vec<_>>(), &places, b"\t"))
                .collect();
            rows.sort();
            all.push([head, &reordered(&columns, &places, b", "), FROM].concat());
            all.extend(rows);
        } else if line.starts_with(b"CREATE TABLE ") && line.ends_with(b" (") {
            let mut columns = Vec::new();
            while let Some(column) = lines.next_if(|line| !line.starts_with(b")")) {
                columns.push(column.strip_suffix(b",").unwrap_or(column).to_vec());
            }
            let end = lines.next().unwrap_or_default();
            if lines.peek().is_some_and(|line| line.starts_with(b"INHERITS (")) {
                columns.sort();
            }
            all.push(line.to_vec());
            all.extend(columns);
            all.push(end.to_vec());
        } else {
            all.push(line.to_vec());
        }
    }
    all
}

const FROM: &[u8] = b") FROM stdin;";

/// `COPY table (` and the columns of a line that rows follow.
fn copy(line: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    let head = line.strip_prefix(b"COPY ")?.strip_suffix(FROM)?;
    // No column of these databases has a name that must be quoted and holds one of these.
    let open = head.iter().position(|byte| *byte == b'(')? + b"COPY (".len();
    let columns = line[open..line.len() - FROM.len()].split(|byte| *byte == b',');
    Some((&line[..open], columns.map(|name| name.trim_ascii()).collect()))
}

fn sorted_places(columns: &[&[u8]]) -> Vec<usize> {
    let mut places: Vec<_> = (0..columns.len()).collect();
    places.sort_by_key(|place| columns[*place]);
    places
}

fn reordered(fields: &[&[u8]], places: &[usize], between: &[u8]) -> Vec<u8> {
    let fields: Vec<_> = places.iter().map(|place| fields.get(*place).copied().unwrap_or_default()).collect();
    fields.join(between)
}

#[test]
fn rows_and_columns_may_stand_elsewhere_and_nothing_else() {
    const DUMP: &str =
        "CREATE TABLE child (\n    b integer,\n    a integer\n)\nINHERITS (parent);\nCOPY child (b, a) FROM stdin;\n1\t2\n3\t4\n\\.\n";
    let told = |other: &str| std::panic::catch_unwind(|| assert_equal(DUMP.as_bytes(), other.as_bytes())).is_err();
    let elsewhere =
        "CREATE TABLE child (\n    a integer,\n    b integer\n)\nINHERITS (parent);\nCOPY child (a, b) FROM stdin;\n4\t3\n2\t1\n\\.\n";
    assert!(!told(DUMP) && !told(elsewhere));
    for (from, to) in [
        ("b, a", "a, b"),
        ("1\t2", "2\t1"),
        ("1\t2\n", ""),
        ("1\t2\n", "1\t2\n1\t2\n"),
        ("3\t4", "3\t4 "),
        ("b integer", "b bigint"),
        ("(parent)", "(other)"),
        ("\\.\n", "\\.\n\nANALYZE;\n"),
    ] {
        assert!(told(&DUMP.replacen(from, to, 1)), "{from} as {to}");
    }
}
