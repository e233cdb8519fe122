//! Parts of open uploads, and the object that they become: in the files and under the names of s3s-fs (0.14), so that it
//! lists and aborts these uploads and reads these objects as its own.
//!
//! S3 works on machines of its own. A server beside the program on its two cores should take as little of them as it can,
//! and s3s-fs reads every part again to put an object together and takes MD5 of it twice.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use s3s::dto::ETag;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// One upload's files below the server's folder.
pub struct Parts {
    root: PathBuf,
    upload: String,
}

impl Parts {
    pub fn new(root: &Path, upload: &str) -> Self {
        Self {
            root: root.to_owned(),
            upload: upload.to_owned(),
        }
    }

    fn path(&self, number: i32) -> PathBuf {
        self.root.join(format!(".upload_id-{}.part-{number}", self.upload))
    }

    /// Keeps a part; the last of a number counts. Until it is whole it has a name of those that s3s-fs never lists, and
    /// clears away when it starts.
    pub fn write(&self, number: i32, bytes: &[u8]) -> io::Result<()> {
        let writer = std::thread::current().id();
        let new = self.root.join(format!(".tmp.{}-{number}-{writer:?}.internal.part", self.upload));
        fs::write(&new, bytes)?;
        fs::rename(new, self.path(number))
    }

    /// Puts these parts together to an object that appears at once at `object`, and forgets the upload.
    pub fn complete(&self, numbers: &[i32], object: &Path, bucket: &str, key: &str, e_tag: &str) -> io::Result<()> {
        let whole = self.root.join(format!(".upload_id-{}.whole", self.upload));
        let mut file = File::create(&whole)?;
        for &number in numbers {
            io::copy(&mut File::open(self.path(number))?, &mut file)?;
        }
        let encoded = |name: &str| BASE64_URL_SAFE_NO_PAD.encode(name);
        let about = self.root.join(format!(".bucket-{}.object-{}", encoded(bucket), encoded(key)));
        let about = |what: &str| PathBuf::from(format!("{}{what}", about.display()));
        fs::write(about(".internal.json"), format!(r#"{{"e_tag":"{e_tag}"}}"#))?;
        fs::rename(about(&format!(".upload-{}.metadata.json", self.upload)), about(".metadata.json"))?;
        if let Some(folder) = object.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::rename(whole, object)?;
        for &number in numbers {
            fs::remove_file(self.path(number))?;
        }
        fs::remove_file(self.root.join(format!(".upload-{}.json", self.upload)))
    }
}

/// The ETag of a small object that one PUT wrote, as a listing names it.
pub fn small_e_tag(path: &Path) -> Option<ETag> {
    use md5::Digest;
    let is_small = std::fs::metadata(path).is_ok_and(|file| file.len() <= 1 << 20);
    let bytes = is_small.then(|| std::fs::read(path).ok()).flatten()?;
    Some(ETag::Strong(pgseal::format::hex(&md5::Md5::digest(&bytes))))
}

pub fn hash(bytes: &[u8]) -> [u8; 32] {
    use aws_lc_rs::digest::{SHA256, digest};
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
