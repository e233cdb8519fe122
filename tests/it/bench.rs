//! That the benchmarks run, and what of speed can be judged without a clock.

use std::path::Path;
use std::process::Command;

fn run(script: &str, quick: Option<&str>) -> String {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(script));
    if let Some(figures) = quick {
        command.args(["--only", figures]).env("BENCH_QUICK", "1");
    }
    let output = command.output().expect("the script starts");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{script}: {said}");
    said
}

#[test]
fn the_encoder_executes_as_many_instructions_as_it_did() {
    let said = run("bench/instructions/count.sh", None);
    assert!(said.contains("scalar"), "{said}");
}

/// At tiny sizes, which say nothing of speed.
#[test]
fn the_benchmark_runs_all_its_tools() {
    let said = run(
        "bench/run.sh",
        Some("encoder,decoder,codec-peers,workers,pipeline,zstd,restore,start"),
    );
    assert!(said.contains("| figure | must | stretch | measured | met |"), "{said}");
    for figure in ["whole pipeline against lbzip2's, speed", "size against `bzip2 -9`, the worst set"] {
        let row = said.lines().find(|line| line.contains(figure)).expect("its row");
        assert!(!row.contains("not measured"), "{said}");
    }
}
