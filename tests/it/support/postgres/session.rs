//! A psql that stays open.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// An open session: it keeps its transaction, its locks and its slot until it is dropped.
pub struct Session {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Session {
    pub(super) fn new(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("psql starts");
        let stdin = child.stdin.take().expect("psql has a standard input");
        let stdout = BufReader::new(child.stdout.take().expect("psql has a standard output"));
        let mut session = Self { child, stdin, stdout };
        session.run("select 1");
        session
    }

    /// Runs SQL, waits until it is done and gives what it printed. An error ends the session and the test.
    pub fn run(&mut self, sql: &str) -> String {
        const END: &str = "-- end of answer --";
        writeln!(self.stdin, "{sql};\n\\echo '{END}'").expect("psql reads");
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            let read = self.stdout.read_line(&mut line).expect("psql speaks UTF-8");
            assert!(read > 0, "psql ended at: {sql}");
            if line.trim_end() == END {
                return answer.trim_end_matches('\n').to_owned();
            }
            answer.push_str(&line);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
