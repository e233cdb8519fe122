//! That the benchmarks run, and what of speed can be judged without a clock.

use std::path::Path;
use std::process::Command;

fn run(script: &str) -> String {
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(script)).output();
    let output = output.expect("the script starts");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{script}: {said}");
    said
}

#[test]
fn the_encoder_executes_as_many_instructions_as_it_did() {
    let said = run("bench/instructions/count.sh");
    assert!(said.contains("scalar: "), "{said}");
}
