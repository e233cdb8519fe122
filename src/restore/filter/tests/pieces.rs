//! However a dump is cut into pieces, the output is the same.

use super::*;
use proptest::prelude::*;

/// Texts in which everything that the lexer knows is likely.
fn sql() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "'",
        "''",
        "E'",
        "\\",
        "\"",
        "$$",
        "$a$",
        "$",
        "--",
        "/*",
        "*/",
        "-",
        "/",
        "*",
        "\n",
        " ",
        ";",
        ";\n",
        "COPY ",
        " FROM stdin",
        "\\.\n",
        "\\.",
        "ALTER ",
        "TABLE ",
        " OWNER TO ",
        "GRANT ",
        "REVOKE ",
        "DEFAULT ",
        "PRIVILEGES ",
        "SET ",
        "SESSION ",
        "AUTHORIZATION ",
        "BEGIN",
        "COMMIT",
        "\\restrict x",
        "x",
        "1",
        "é",
        "transaction_timeout ",
    ]);
    let piece = prop_oneof![
        9 => word.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// The output or the code of the refusal.
fn in_pieces(input: &[u8], options: FilterOptions, cuts: &[usize]) -> Result<Vec<u8>, Code> {
    let mut filter = Filter::new(options, BufferSink::default());
    let mut rest = input;
    for cut in cuts {
        let (piece, other) = rest.split_at((*cut).min(rest.len()));
        filter.put(piece).map_err(|error| error.code)?;
        rest = other;
    }
    filter.put(rest).map_err(|error| error.code)?;
    filter.finish().map(|filtered| filtered.below).map_err(|error| error.code)
}

/// Without the settings that the filter adds.
fn plain(output: &[u8]) -> String {
    let output = String::from_utf8_lossy(output).replace(STRINGS, "");
    output.replace(LETTERS, "")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn pieces_make_no_difference(input in sql(), cuts in prop::collection::vec(0usize..9, 0..30)) {
        let all = FilterOptions { set_aside: true, superuser_only: true, no_comments: true, ..all() };
        prop_assert_eq!(in_pieces(&input, all.clone(), &cuts), in_pieces(&input, all, &[]));
    }

    #[test]
    fn what_is_neither_refused_nor_left_out_is_the_input(input in sql(), cuts in prop::collection::vec(0usize..9, 0..30)) {
        if let Ok(output) = in_pieces(&input, FilterOptions::default(), &cuts) {
            prop_assert_eq!(plain(&output), plain(&input));
        }
    }
}
