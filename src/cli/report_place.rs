//! Where a drill leaves its report: looked at before the drill, which may take hours.

use crate::error::{Code, Error, Result};
use crate::restore::report::DrillReport;
use crate::store::{Archive, Location, NewFile, PutOutcome};
use crate::variables::Env;

pub(crate) struct ReportPlace(Location, Archive);

impl ReportPlace {
    /// A folder is made if it is not there, and must take files; a bucket must be there and let us write, as far as it tells
    /// without an object.
    pub(crate) async fn open(place: &str, env: &Env) -> Result<Self> {
        let location = Location::parse(place)?;
        if let Location::Directory(folder) = &location {
            let unusable = |error| {
                Error::field(
                    Code::BadUsage,
                    "report",
                    format!("names {location}, which cannot be written to: {error}"),
                )
            };
            std::fs::create_dir_all(folder).map_err(unusable)?;
            // Never kept, so nothing of it is seen.
            drop(NewFile::create(&folder.join("report"), 0o600).map_err(unusable)?);
        }
        let archive = Archive::open(&location, env).await?;
        archive.must_take_objects().await?;
        Ok(Self(location, archive))
    }

    /// Gives the place of the page.
    pub(crate) async fn leave(&self, report: &DrillReport) -> Result<String> {
        let name = report.name();
        for (ending, text) in [("json", report.to_json()), ("html", report.to_html())] {
            let name = format!("{name}.{ending}");
            if self.1.put_new(&name, text.into()).await? == PutOutcome::Exists {
                return Err(Error::new(Code::OutputFailed, format!("{name} exists already")).advise("Name another place with --report."));
            }
        }
        Ok(format!("{}/{name}.html", self.0))
    }
}
