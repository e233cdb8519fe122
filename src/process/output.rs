//! What a child writes to a pipe that we keep: read whenever something is there, so that the child never blocks on it, and
//! bounded, so that it never fills our memory.

use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// What is kept of stderr: its beginning tells the cause, its end the effect.
pub(crate) const STDERR_LIMIT: usize = 16 << 10;

/// Takes lines out of an output.
pub(crate) trait LineFilter {
    /// Bytes as they come; what stays goes to `kept`.
    fn read(&mut self, bytes: &[u8], kept: &mut Vec<u8>);

    /// A line that did not end.
    fn finish(&mut self, kept: &mut Vec<u8>);
}

/// A pipe out of a child, and what came of it.
pub(crate) struct ChildOutput {
    pipe: Option<OwnedFd>,
    filter: Option<Box<dyn LineFilter + Send>>,
    kept: Vec<u8>,
    limit: usize,
}

impl ChildOutput {
    /// Of `pipe`, which does not block, at least the first and the last `limit / 2` bytes.
    pub(crate) fn new(pipe: Option<impl Into<OwnedFd>>, limit: usize) -> Self {
        Self {
            pipe: pipe.map(Into::into),
            filter: None,
            kept: Vec::new(),
            limit,
        }
    }

    pub(crate) fn filter(&mut self, filter: Box<dyn LineFilter + Send>) {
        self.filter = Some(filter);
    }

    /// `None` after its end.
    pub(crate) fn pipe(&self) -> Option<&OwnedFd> {
        self.pipe.as_ref()
    }

    pub(crate) fn kept(&self) -> &[u8] {
        &self.kept
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }

    /// Takes what is there. More than twice the limit has had its middle cut out.
    pub(crate) fn read_available(&mut self) {
        let mut buffer = [0; 16 << 10];
        while let Some(pipe) = &self.pipe {
            match rustix::io::read(pipe, &mut buffer) {
                Ok(0) => {
                    self.pipe = None;
                    self.filter.iter_mut().for_each(|filter| filter.finish(&mut self.kept));
                }
                Ok(read) => match &mut self.filter {
                    Some(filter) => filter.read(&buffer[..read], &mut self.kept),
                    None => self.kept.extend_from_slice(&buffer[..read]),
                },
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
            if self.kept.len() > self.limit.saturating_mul(2) {
                let surplus = self.kept.len() - self.limit;
                self.kept.drain(self.limit / 2..self.limit / 2 + surplus);
            }
        }
    }
}
